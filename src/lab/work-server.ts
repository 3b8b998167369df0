// A web server whose requests cost something: each uses CPU time before it is answered, one after the
// other, as an application in Node does. It names itself in the body and in the header X-Backend, and with
// the library that weir has for applications it tells the agent on its server how busy it is.
// Run as: work-server.js '{"name":"b1","port":8080,"workMs":4,"backend":"web/b1"}' (WorkServerOptions).
// Writes a line when it listens.

import { createServer } from 'node:http';
import { loadReporter } from '../agent/load-reporter.ts';
import { burnCpu } from './busy-work.ts';

export interface WorkServerOptions {
  name: string;
  port: number;
  /** CPU time of a request. */
  workMs: number;
  /** Whom it reports as, to the agent on its server; without one it reports nothing. */
  backend?: string;
}

const { name, port, workMs, backend } = JSON.parse(process.argv[2]) as WorkServerOptions;
const body = `${name}\n`;

const server = createServer((request, response) => {
  if (request.url !== '/health') burnCpu(workMs);
  response.writeHead(200, {
    'content-type': 'text/plain',
    'content-length': body.length,
    'x-backend': name,
  });
  response.end(body);
});
server.keepAliveTimeout = 0;
server.requestTimeout = 0;
server.listen(port, '0.0.0.0', 4096, () => process.stdout.write('listening\n'));
if (backend !== undefined) loadReporter({ backend }).watch(server);
