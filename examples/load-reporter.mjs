// A Node HTTP server that tells the weir agent on its machine how busy it is.
//   node examples/load-reporter.mjs 8080
import { createServer } from 'node:http';
import { loadReporter } from 'weir/agent';

const server = createServer((_request, response) => response.end('hello\n'));
const reporter = loadReporter({ backend: 'web/b1' }).watch(server);
server.listen(Number(process.argv[2] ?? 8080));

// Before it ends it asks for no new clients, and gives those that it has ten seconds.
process.once('SIGTERM', () => {
  reporter.wish({ administrative: 'drain' });
  setTimeout(() => process.exit(0), 10_000);
});
