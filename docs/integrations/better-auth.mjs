// Better Auth: phoneNumber({ sendOTP }). NEXO_URL and NEXO_SECRET are of an integration of the kind `custom`.
export async function sendOTP({ phoneNumber, code }) {
  const response = await fetch(process.env.NEXO_URL, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${process.env.NEXO_SECRET}` },
    body: JSON.stringify({ phone: phoneNumber, code }),
  });
  if (!response.ok) throw new Error((await response.json()).message);
}
