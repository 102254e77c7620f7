// A rising load until the gateway does not keep up. The result is the rate accepted before the first 503. k6 costs about
// 100 µs of CPU per request, so `tests/bench/run` measures the capacity of a machine.
import exec from 'k6/execution';
import { NO_ERRORS, CAPACITY, SHORT, TRENDS, fresh, send } from './lib.js';
export { handleSummary } from './lib.js';

const step = SHORT ? '3s' : '30s';
export const options = {
  summaryTrendStats: TRENDS,
  scenarios: {
    otps: {
      executor: 'ramping-arrival-rate',
      startRate: CAPACITY / 10,
      timeUnit: '1s',
      preAllocatedVUs: 200,
      maxVUs: 2000,
      stages: [0.5, 1, 1.5, 2].map((share) => ({ target: CAPACITY * share, duration: step })),
    },
  },
  thresholds: { ...NO_ERRORS, otp_accepted_time: ['p(99)<1000'], otp_accepted: ['count>0'] },
};

export default function () {
  exec.vu.metrics.tags.stage = String(Math.round(exec.scenario.progress * 4));
  send(fresh('90'));
}
