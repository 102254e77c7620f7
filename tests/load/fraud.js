// Fraud and broken clients: one range dialled number by number, one phone repeatedly, invalid numbers and codes, unknown
// keys. None of it may cost more than a response.
import { check } from 'k6';
import { NO_ERRORS, SHORT, TRENDS, phone, send } from './lib.js';
import exec from 'k6/execution';
import http from 'k6/http';
export { handleSummary } from './lib.js';

const duration = SHORT ? '5s' : '60s';
const at = (rate, run) => ({ executor: 'constant-arrival-rate', rate, duration, preAllocatedVUs: 50, maxVUs: 500, exec: run });
export const options = {
  summaryTrendStats: TRENDS,
  scenarios: { range: at(40, 'range'), victim: at(40, 'victim'), nonsense: at(40, 'nonsense'), guesses: at(20, 'guesses') },
  thresholds: {
    ...NO_ERRORS,
    checks: ['rate==1'],
    otp_refused_time: ['p(99)<500'],
    otp_refused_rate_limited: ['count>0'],
    otp_refused_invalid_phone: ['count>0'],
    otp_refused_invalid_code: ['count>0'],
  },
};

export function range() {
  send(phone(900000 + exec.scenario.iterationInTest, '90'));
}

export function victim() {
  const answer = send('+84981234590');
  check(answer, { 'one call in 30 s': (a) => [202, 429].includes(a.status) });
}

export function nonsense() {
  const [to, code] = [
    ['+84281234567', '482917'], ['0981234567', '482917'], ['+8498123456', '482917'], ['+84981234567 ', '482917'],
    ['+84981234567', '123'], ['+84981234567', '12345678901'], ['+84981234567', 'abcdef'], ['+84981234567', '４８２９'],
  ][exec.scenario.iterationInTest % 8];
  check(send(to, { code, expected: [400] }), { 'refused with 400': (a) => a.status === 400 });
}

export function guesses() {
  const key = `sk_live_${String(exec.scenario.iterationInTest).padStart(40, 'x')}`;
  const answer = http.get(`${__ENV.NEXO_URL}/api/v1/balance`, {
    headers: { Authorization: `Bearer ${key}` }, responseCallback: http.expectedStatuses(401),
  });
  check(answer, { 'refused with 401': (a) => a.status === 401 && a.json('error') === 'invalid_key' });
}
