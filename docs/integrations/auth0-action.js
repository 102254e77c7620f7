// Auth0: Branding > Phone Provider > Custom. Add two secrets beside this code: NEXO_URL and NEXO_SECRET.
exports.onExecuteCustomPhoneProvider = async (event, api) => {
  const { recipient, code, locale } = event.notification;
  let response;
  try {
    response = await fetch(event.secrets.NEXO_URL, {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json',
        Authorization: `Bearer ${event.secrets.NEXO_SECRET}`,
      },
      body: JSON.stringify({ recipient, code, locale }),
    });
  } catch (error) {
    // Whether the call was placed is unknown. Asking again is safe: a code rings the phone once.
    api.notification.retry('NEXO ROUTE did not answer');
    return;
  }
  if (response.ok) return;
  const { error } = await response.json().catch(() => ({}));
  const reason = `NEXO ROUTE: ${response.status} ${error}`;
  if (response.status >= 500) api.notification.retry(reason);
  else api.notification.drop(reason);
};
