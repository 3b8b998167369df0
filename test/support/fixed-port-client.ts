// A client that chooses its own ports, run as a process in a client's namespace: from each port of a
// range it asks several times and notes which server answered. From one address and port the same
// server must answer again and again: over UDP because it is one conversation, and over TCP, where
// each request is a connection of its own, if the service is scheduled by Maglev.
// HTTP servers name themselves in the body, DNS servers in the TXT record of 'server.lab'.
// Run as: fixed-port-client.js '{"protocol":"udp", …}'. Prints one JSON object: port → answers, null
// for one that did not come in time, an errno name for a connection that failed. Nothing is ever sent twice.

import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { argv, stdout } from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { dnsQuestion, dnsText } from './dns-question.ts';

export interface FixedPortOptions {
  protocol: 'tcp' | 'udp';
  host: string;
  port: number;
  firstPort: number;
  /** How many client ports. */
  ports: number;
  /** Requests from each port, one after the other. */
  rounds: number;
}

/** Who answered, request by request, for each client port. */
export type FixedPortAnswers = Record<string, (string | null)[]>;

const PATIENCE_MS = 5000;
const BUSY_AT_ONCE = 32;

async function askUdp(options: FixedPortOptions, localPort: number): Promise<(string | null)[]> {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(localPort, resolve));
  const answers: (string | null)[] = [];
  for (let round = 1; round <= options.rounds; round += 1) {
    const answer = new Promise<string | null>((resolve) => {
      const timer = setTimeout(() => resolve(null), PATIENCE_MS);
      socket.removeAllListeners('message').on('message', (message: Buffer) => {
        if (message.readUInt16BE(0) !== round) return;
        clearTimeout(timer);
        resolve(dnsText(message));
      });
    });
    socket.send(dnsQuestion(round), options.port, options.host);
    answers.push(await answer);
  }
  await new Promise<void>((resolve) => socket.close(() => resolve()));
  return answers;
}

/** One request on a connection of its own; the server closes it, so that the port is free again. */
function askTcpOnce({ host, port }: FixedPortOptions, localPort: number): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, localPort });
    let text = '';
    socket.setTimeout(PATIENCE_MS, () => socket.destroy());
    socket.on('connect', () =>
      socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`),
    );
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
    });
    let problem: string | null = null;
    socket.on('error', (error: NodeJS.ErrnoException) => {
      problem = error.code ?? error.message;
    });
    socket.on('close', () => {
      const body = text.split('\r\n\r\n')[1]?.trim();
      resolve(text.startsWith('HTTP/1.1 200') && body ? body : problem);
    });
  });
}

async function askTcp(options: FixedPortOptions, localPort: number): Promise<(string | null)[]> {
  const answers: (string | null)[] = [];
  for (let round = 0; round < options.rounds; round += 1) {
    let answer = await askTcpOnce(options, localPort);
    // Our last FIN is not acknowledged yet: the kernel still has the port, and nothing was sent.
    for (let patience = PATIENCE_MS; answer === 'EADDRNOTAVAIL' && patience > 0; patience -= 10) {
      await sleep(10);
      answer = await askTcpOnce(options, localPort);
    }
    answers.push(answer);
  }
  return answers;
}

async function run(options: FixedPortOptions): Promise<FixedPortAnswers> {
  const found: FixedPortAnswers = {};
  const ask = options.protocol === 'udp' ? askUdp : askTcp;
  let next = options.firstPort;
  const end = options.firstPort + options.ports;
  const worker = async (): Promise<void> => {
    while (next < end) {
      const localPort = next;
      next += 1;
      found[localPort] = await ask(options, localPort);
    }
  };
  await Promise.all(Array.from({ length: BUSY_AT_ONCE }, worker));
  return found;
}

stdout.write(`${JSON.stringify(await run(JSON.parse(argv[2]) as FixedPortOptions))}\n`);
