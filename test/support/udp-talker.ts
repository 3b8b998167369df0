// UDP conversations that go on: some from ports that ask again and again for as long as the program runs,
// and, if wanted, a new one every now and then, of one question. Runs as a process in a client's namespace
// and writes one JSON line per question that is over: [due (Date.now()), local port, server, is new], with
// '' for the server when no answer came in time. SIGTERM ends it.
// Run as: udp-talker.js '{"host":"10.1.0.100","port":53,"conversations":10,"intervalMs":200}'

import { createSocket, type Socket } from 'node:dgram';
import { argv, stdout } from 'node:process';
import { dnsQuestion, dnsText } from './dns-question.ts';

export interface UdpTalkerOptions {
  host: string;
  port: number;
  /** Conversations that go on. */
  conversations: number;
  /** Between two questions of each. */
  intervalMs: number;
  /** Between two conversations of one question; 0: there are none. */
  newEveryMs?: number;
  timeoutMs?: number;
}

export type UdpTalkerRow = [atMs: number, localPort: number, server: string, isNew: boolean];

const {
  host,
  port,
  conversations,
  intervalMs,
  newEveryMs = 0,
  timeoutMs = 1000,
} = JSON.parse(argv[2]) as UdpTalkerOptions;

class Conversation {
  private readonly socket: Socket = createSocket('udp4');
  private readonly waiting = new Map<number, (server: string) => void>();
  private asked = 0;

  constructor() {
    this.socket.on('message', (message) =>
      this.waiting.get(message.readUInt16BE(0))?.(dnsText(message)),
    );
    this.socket.on('error', () => {});
  }

  ask(isNew: boolean, atEnd = () => {}): void {
    const number = (this.asked + 1) & 0xffff;
    this.asked = number;
    const atMs = Date.now();
    const finish = (server: string): void => {
      clearTimeout(timer);
      this.waiting.delete(number);
      const row: UdpTalkerRow = [atMs, this.socket.address().port, server, isNew];
      stdout.write(`${JSON.stringify(row)}\n`);
      atEnd();
    };
    const timer = setTimeout(() => finish(''), timeoutMs);
    this.waiting.set(number, finish);
    this.socket.send(dnsQuestion(number), port, host);
  }

  close(): void {
    this.socket.close();
  }
}

for (let i = 0; i < conversations; i += 1) {
  const conversation = new Conversation();
  conversation.ask(false);
  setInterval(() => conversation.ask(false), intervalMs);
}
if (newEveryMs > 0) {
  setInterval(() => {
    const conversation = new Conversation();
    conversation.ask(true, () => conversation.close());
  }, newEveryMs);
}
process.on('SIGTERM', () => process.exit(0));
