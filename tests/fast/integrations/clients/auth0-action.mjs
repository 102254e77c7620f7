// Runs the Action of the documentation in a context of its own: auth0-action.mjs FILE EVENT_JSON. Prints what it told
// Auth0.
import { readFileSync } from 'node:fs';
import { createContext, runInContext } from 'node:vm';

const [file, event] = process.argv.slice(2);
const told = [];
const api = {
  notification: {
    retry: (reason) => told.push({ retry: reason }),
    drop: (reason) => told.push({ drop: reason }),
  },
};
const context = createContext({ exports: {}, fetch, console });
runInContext(readFileSync(file, 'utf8'), context);
await context.exports.onExecuteCustomPhoneProvider(JSON.parse(event), api);
console.log(JSON.stringify(told));
