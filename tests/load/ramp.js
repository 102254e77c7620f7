// More and more until it no longer keeps up. The figure to read is what was accepted a second before 503 came; k6
// itself costs some 100 µs of CPU a request, so that what a machine can do is measured by `tests/bench/run`.
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
