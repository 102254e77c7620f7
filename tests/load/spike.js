// A sudden load of five times the trunk's rate: excess requests get 503 at once and cost nothing, accepted ones stay
// fast, and afterwards the gateway behaves as before.
import { NO_ERRORS, CAPACITY, SHORT, TRENDS, fresh, send } from './lib.js';
export { handleSummary } from './lib.js';

const [calm, spike] = SHORT ? ['3s', '8s'] : ['30s', '60s'];
export const options = {
  summaryTrendStats: TRENDS,
  scenarios: {
    otps: {
      executor: 'ramping-arrival-rate',
      startRate: CAPACITY / 2,
      timeUnit: '1s',
      preAllocatedVUs: 300,
      maxVUs: 3000,
      stages: [
        { target: CAPACITY / 2, duration: calm },
        { target: CAPACITY * 5, duration: '0s' },
        { target: CAPACITY * 5, duration: spike },
        { target: CAPACITY / 2, duration: '0s' },
        { target: CAPACITY / 2, duration: calm },
      ],
    },
  },
  thresholds: {
    ...NO_ERRORS,
    otp_accepted_time: ['p(99)<1000'],
    otp_refused_time: ['p(99)<1000'],
    otp_accepted: [`count>${CAPACITY * (SHORT ? 8 : 60)}`],
    otp_refused_overloaded: ['count>0'],
  },
};

export default function () {
  send(fresh('90'));
}
