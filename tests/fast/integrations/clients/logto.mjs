// Logto's own SMS connector sends a code: logto.mjs ENDPOINT AUTHORIZATION TO CODE. Prints what it throws.
import createConnector from '@logto/connector-http-sms';

const [endpoint, authorization, to, code] = process.argv.slice(2);
const { sendMessage } = await createConnector({ getConfig: async () => ({ endpoint, authorization }) });
try {
  await sendMessage({ to, type: 'SignIn', payload: { code, locale: 'vi-VN' } });
  console.log(JSON.stringify({ sent: true }));
} catch (error) {
  console.log(JSON.stringify({ sent: false, code: error.code, data: JSON.stringify(error.data ?? error.message) }));
}
