// A web server in Node alone, run as a process of its own in a server's namespace. It stands in for
// nginx where that is not installed, and receives uploads: the answer to a PUT or POST is the length
// and the SHA-256 of what has arrived, so that a sender can tell whether every byte came through.
// Run as: http-server.js NAME PORT[,PORT…] [FOLDER]

import { createHash } from 'node:crypto';
import { createReadStream, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join, normalize } from 'node:path';

const FILES = '/files/';
const [name, ports, folder] = process.argv.slice(2);
let served = 0;

function answer(response: ServerResponse, body: string, status = 200): void {
  response.writeHead(status, {
    'content-type': 'text/plain',
    'content-length': Buffer.byteLength(body),
    'x-backend': name,
  });
  response.end(body);
}

function receive(request: IncomingMessage, response: ServerResponse): void {
  const hash = createHash('sha256');
  let length = 0;
  request.on('data', (chunk: Buffer) => {
    hash.update(chunk);
    length += chunk.length;
  });
  request.on('end', () => {
    answer(response, `${JSON.stringify({ server: name, length, sha256: hash.digest('hex') })}\n`);
  });
}

function sendFile(url: string, response: ServerResponse): void {
  const file = url.slice(FILES.length).split('?')[0];
  // Normalizing an absolute path leaves no '..' that could climb out of the folder.
  const path = join(folder, normalize(`/${decodeURIComponent(file)}`));
  const stats = statSync(path, { throwIfNoEntry: false });
  if (!stats?.isFile()) {
    answer(response, 'not found\n', 404);
    return;
  }
  response.writeHead(200, { 'content-length': stats.size, 'x-backend': name });
  createReadStream(path).pipe(response);
}

function serve(request: IncomingMessage, response: ServerResponse): void {
  served += 1;
  const url = request.url ?? '/';
  if (request.method === 'PUT' || request.method === 'POST') receive(request, response);
  else if (url === '/health') answer(response, 'ok\n');
  else if (url === '/served') answer(response, `${served}\n`);
  else if (folder !== undefined && url.startsWith(FILES)) sendFile(url, response);
  else answer(response, `${name}\n`);
}

for (const port of ports.split(',')) {
  const server = createServer(serve);
  // A connection stays for as long as the client wants it, as with nginx's settings in servers.ts.
  server.keepAliveTimeout = 0;
  server.requestTimeout = 0;
  server.listen(Number(port), '0.0.0.0', 4096);
}
