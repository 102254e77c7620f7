// One customer sends all OTPs. Its wallet is one row, and no request may wait for it. Each client sends its next OTP after
// the response.
import { NO_ERRORS, SHORT, TRENDS, fresh, send } from './lib.js';
export { handleSummary } from './lib.js';

const KEY = __ENV.NEXO_KEYS.split(',')[0];
export const options = {
  summaryTrendStats: TRENDS,
  scenarios: { otps: { executor: 'constant-vus', vus: 64, duration: SHORT ? '5s' : '60s' } },
  thresholds: { ...NO_ERRORS, otp_accepted_time: ['p(99)<1000'], otp_accepted: ['count>500'] },
};

export default function () {
  send(fresh('90'), { as: KEY });
}
