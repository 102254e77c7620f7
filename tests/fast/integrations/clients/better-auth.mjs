// Better Auth with its phone-number plugin and the documentation's `sendOTP`: better-auth.mjs SEND_OTP_FILE PHONE.
// Signs the person in with the code that it made, and prints that code.
import { betterAuth } from 'better-auth';
import { memoryAdapter } from 'better-auth/adapters/memory';
import { phoneNumber } from 'better-auth/plugins';

const [file, phone] = process.argv.slice(2);
const { sendOTP } = await import(file);
const tables = { user: [], session: [], account: [], verification: [] };
let sent;
const auth = betterAuth({
  baseURL: 'http://localhost:3000',
  secret: 'gWk3zP9vQ2mX7rT5nB8yL4cD6fH1jS0a',
  telemetry: { enabled: false },
  database: memoryAdapter(tables),
  plugins: [
    phoneNumber({
      sendOTP: (otp) => (sent = sendOTP(otp)),
      signUpOnVerification: {
        getTempEmail: (number) => `${number.slice(1)}@example.com`,
      },
    }),
  ],
});
await auth.api.sendPhoneNumberOTP({ body: { phoneNumber: phone } });
await sent;
const code = tables.verification[0].value.split(':')[0];
const verified = await auth.api.verifyPhoneNumber({ body: { phoneNumber: phone, code } });
console.log(JSON.stringify({ code, verified: verified.status, phone: tables.user[0].phoneNumber }));
