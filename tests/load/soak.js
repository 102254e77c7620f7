// Ordinary traffic for NEXO_DURATION: callees answer, are busy or decline, and every ended OTP sends a webhook. `run`
// counts the webhooks and records the memory. NEXO_DURATION=8h tests/load/run soak
import { NO_ERRORS, CAPACITY, SHORT, TRENDS, fresh, send } from './lib.js';
export { handleSummary } from './lib.js';

const ENDS = ['01', '02', '03', '04', '05', '06', '90', '92', '98', '99'];
export const options = {
  summaryTrendStats: TRENDS,
  scenarios: {
    otps: {
      executor: 'constant-arrival-rate',
      rate: Math.max(1, Math.round(CAPACITY / 10)),
      duration: __ENV.NEXO_DURATION || (SHORT ? '10s' : '30m'),
      preAllocatedVUs: 100,
      maxVUs: 1000,
    },
  },
  thresholds: { ...NO_ERRORS, otp_accepted_time: ['p(99)<1500'], otp_accepted: ['count>0'], otp_refused_overloaded: ['count==0'] },
};

export default function () {
  send(fresh(ENDS[Math.floor(Math.random() * ENDS.length)]));
}
