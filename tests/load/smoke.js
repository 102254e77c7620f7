// A few OTPs per second, and the other requests of a customer.
import { check, sleep } from 'k6';
import { NO_ERRORS, SHORT, TRENDS, fresh, get, send } from './lib.js';
export { handleSummary } from './lib.js';

export const options = {
  summaryTrendStats: TRENDS,
  scenarios: {
    otps: { executor: 'constant-arrival-rate', rate: 5, duration: SHORT ? '5s' : '30s', preAllocatedVUs: 20 },
  },
  thresholds: {
    ...NO_ERRORS,
    checks: ['rate==1'],
    otp_accepted: ['count>=20'],
    otp_accepted_time: ['p(99)<1000'],
  },
};

export default function () {
  const sent = send(fresh('90'));
  if (!check(sent, { 'accepted': (answer) => answer.status === 202 })) return;
  check(sent, { 'has a request id': (answer) => Boolean(answer.headers['X-Request-Id']) });
  const id = sent.json('id');
  // A call to a busy phone is final within seconds.
  let delivery;
  for (let tries = 0; tries < 20; tries += 1) {
    delivery = get(`deliveries/${id}`);
    if (delivery.status !== 200 || delivery.json('status') !== 'sent') break;
    sleep(0.25);
  }
  check(delivery, { 'found, and busy': (answer) => answer.status === 200 && answer.json('error_code') === 'busy' });
  check(get('balance'), { 'has a balance': (answer) => answer.status === 200 && answer.json('total') > 0 });
}
