// A signature by the npm package of the Standard Webhooks: standard-webhooks.mjs SECRET ID SECONDS BODY.
import { Webhook } from 'standardwebhooks';

const [secret, id, seconds, body] = process.argv.slice(2);
const webhook = new Webhook(secret.replace('v1,', ''));
console.log(JSON.stringify(webhook.sign(id, new Date(Number(seconds) * 1000), body)));
