// Shared by all scripts: customers, unused phones, and metrics of the gateway's responses.
import http from 'k6/http';
import exec from 'k6/execution';
import { Counter, Trend } from 'k6/metrics';

const BASE = __ENV.NEXO_URL;
const KEYS = __ENV.NEXO_KEYS.split(',');
export const SHORT = __ENV.NEXO_SHORT === '1';
/// OTPs per second that the trunk accepts in this run.
export const CAPACITY = Number(__ENV.NEXO_CAPACITY || '100');

const REASONS = ['rate_limited', 'overloaded', 'no_route', 'insufficient_balance', 'invalid_phone', 'invalid_code',
  'invalid_key', 'internal', 'other'];
export const accepted = new Counter('otp_accepted');
const refused = Object.fromEntries(REASONS.map((reason) => [reason, new Counter(`otp_refused_${reason}`)]));
export const acceptedTime = new Trend('otp_accepted_time', true);
const refusedTime = new Trend('otp_refused_time', true);
// Requests without a response, or with an unexpected one.
export const errors = new Counter('otp_errors');

const PREFIXES = ['96', '97', '98', '86', '32', '33', '34', '35', '36', '37', '38', '39'];

/// The phone with this index in the run, ending with these two digits. All are Viettel's; the first 1.2 million differ.
export function phone(number, lastTwo) {
  const prefix = PREFIXES[Math.floor(number / 100000) % PREFIXES.length];
  return `+84${prefix}${String(number % 100000).padStart(5, '0')}${lastTwo}`;
}

/// A phone that no other iteration uses.
export function fresh(lastTwo) {
  return phone(exec.scenario.iterationInTest + (exec.scenario.name === 'default' ? 0 : offset(exec.scenario.name)), lastTwo);
}

function offset(name) {
  let hash = 0;
  for (const character of name) hash = (hash * 31 + character.charCodeAt(0)) % 11;
  return hash * 100000;
}

export function key() {
  return KEYS[exec.scenario.iterationInTest % KEYS.length];
}

/// Sends one OTP and counts the response. A valid, funded request gets 202, 429 or 503. Any other status is an error,
/// unless it is `expected`.
export function send(to, { code = '482917', as = key(), expected = [] } = {}) {
  const allowed = [429, 503, ...expected];
  const answer = http.post(`${BASE}/api/v1/send-otp`, JSON.stringify({ phone: to, code }), {
    headers: { Authorization: `Bearer ${as}`, 'Content-Type': 'application/json' },
    responseCallback: http.expectedStatuses(202, ...allowed),
    timeout: '20s',
  });
  if (answer.status === 202) {
    accepted.add(1);
    acceptedTime.add(answer.timings.duration);
  } else if (answer.status === 0) {
    errors.add(1);
  } else {
    const reason = answer.json('error');
    (refused[reason] || refused.other).add(1);
    refusedTime.add(answer.timings.duration);
    if (!allowed.includes(answer.status)) errors.add(1);
    if ([429, 503].includes(answer.status) && !answer.headers['Retry-After']) errors.add(1);
  }
  return answer;
}

export function get(path) {
  return http.get(`${BASE}/api/v1/${path}`, { headers: { Authorization: `Bearer ${KEYS[0]}` } });
}

/// Only allowed responses.
export const NO_ERRORS = { otp_errors: ['count==0'], http_req_failed: ['rate==0'] };

/// Writes the summary that `run` reads.
export function handleSummary(data) {
  const count = (name) => (data.metrics[name] ? data.metrics[name].values.count : 0);
  const time = (name, which) => (data.metrics[name] ? data.metrics[name].values[which] : null);
  const summary = {
    requests: count('http_reqs'),
    accepted: count('otp_accepted'),
    refused: Object.fromEntries(REASONS.map((r) => [r, count(`otp_refused_${r}`)]).filter(([, n]) => n > 0)),
    errors: count('otp_errors'),
    accepted_ms: { median: time('otp_accepted_time', 'med'), p95: time('otp_accepted_time', 'p(95)'), p99: time('otp_accepted_time', 'p(99)'), max: time('otp_accepted_time', 'max') },
    refused_ms: { median: time('otp_refused_time', 'med'), p99: time('otp_refused_time', 'p(99)') },
    broken_thresholds: Object.entries(data.metrics).flatMap(([name, metric]) =>
      Object.entries(metric.thresholds || {}).filter(([, t]) => !t.ok).map(([text]) => `${name} ${text}`)),
  };
  return { [__ENV.NEXO_SUMMARY]: JSON.stringify(summary) };
}

export const TRENDS = ['min', 'med', 'p(95)', 'p(99)', 'max', 'count'];
