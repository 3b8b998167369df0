// The UDP socket of the ng protocol: a cookie, a space, a dictionary; the answer bears the same cookie. Whoever
// may speak to it directs media, so it listens on the management network only, and to those that are allowed.
// libuv hands over at most 32 datagrams per turn of the event loop; what more arrives waits in the kernel's
// buffer and is dropped there. A command that comes again byte for byte, cookie included, is a repetition: it gets
// the answer that it got before, and is not done again. A socket that cannot be opened yet is tried again and again.
// Invariant: no datagram makes the process fail, or remember more than the reply cache holds.

import { hash } from 'node:crypto';
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { decode, type Encodable, encode } from './bencode.ts';
import type { NgCommands } from './ng-commands.ts';
import { ReplyCache } from './reply-cache.ts';
import type { RelayLog, RelaySettings } from './settings.ts';

const RECEIVE_BUFFER_BYTES = 1024 * 1024;
const RETRY_MS = 2000;
const MOST_COOKIE = 256;
const SPACE = 0x20;
/** What a datagram of UDP over IPv4 can bear. */
export const MOST_ANSWER = 65_507;

export class NgServer {
  private readonly listen: RelaySettings['ng'];
  private readonly commands: NgCommands;
  private readonly log: RelayLog;
  private readonly nowMs: () => number;
  private readonly replies = new ReplyCache();
  private socket: Socket | undefined;
  private timer: NodeJS.Timeout | undefined;
  private isClosed = false;
  private error: string | undefined;
  /** Datagrams from senders that may not, and such without a cookie. */
  readonly ignored = { senders: 0, malformed: 0 };
  repeated = 0;

  constructor(
    listen: RelaySettings['ng'],
    commands: NgCommands,
    log: RelayLog,
    nowMs: () => number,
  ) {
    this.listen = listen;
    this.commands = commands;
    this.log = log;
    this.nowMs = nowMs;
  }

  /** Resolves after the first attempt, whether it is open then or not. */
  open(): Promise<void> {
    return new Promise((resolve) => {
      const { address, port } = this.listen;
      const socket = createSocket({ type: 'udp4' });
      socket.on('error', (error) => {
        socket.close();
        this.failed(error.message);
        resolve();
      });
      socket.on('message', (datagram, sender) => this.receive(socket, datagram, sender));
      socket.bind({ address, port, exclusive: true }, () => {
        socket.setRecvBufferSize(RECEIVE_BUFFER_BYTES);
        if (this.isClosed) socket.close();
        else this.opened(socket);
        resolve();
      });
    });
  }

  /** The port that it has; undefined while it is not open. */
  get port(): number | undefined {
    return this.socket?.address().port;
  }

  /** Answers that are kept for commands that come again. */
  get remembered(): number {
    return this.replies.size;
  }

  close(): void {
    this.isClosed = true;
    clearTimeout(this.timer);
    this.socket?.close();
    this.socket = undefined;
  }

  private receive(socket: Socket, datagram: Buffer, { address, port }: RemoteInfo): void {
    const { allow } = this.listen;
    if (allow.length > 0 && !allow.includes(address)) {
      this.ignored.senders += 1;
      return;
    }
    const answer = this.answer(datagram, address);
    if (answer === undefined) return;
    // An answer that cannot be sent is one that is lost: the proxy asks again.
    socket.send(Buffer.from(answer, 'latin1'), port, address, () => {});
  }

  /** What is answered to a datagram; undefined: nothing. */
  answer(datagram: Buffer, sender: string): string | undefined {
    const end = datagram.subarray(0, MOST_COOKIE).indexOf(SPACE);
    if (end <= 0) {
      this.ignored.malformed += 1;
      return undefined;
    }
    // Two proxies behind one address may have the same cookies, as may one that was begun again.
    const key = `${sender} ${hash('sha256', datagram, 'base64')}`;
    const nowMs = this.nowMs();
    const before = this.replies.find(key, nowMs);
    if (before !== undefined) {
      this.repeated += 1;
      return before;
    }
    const cookie = datagram.toString('latin1', 0, end);
    const answer = inOneDatagram(cookie, this.commands.handle(decode(datagram.subarray(end + 1))));
    this.replies.add(key, answer, nowMs);
    return answer;
  }

  private opened(socket: Socket): void {
    this.socket = socket;
    this.error = undefined;
    const { address, port } = socket.address();
    this.log.info(`the media relay is controlled at UDP ${address}:${port}`);
  }

  private failed(message: string): void {
    this.socket = undefined;
    if (this.isClosed) return;
    const { address, port } = this.listen;
    if (this.error === undefined) {
      this.log.warning(`the media relay cannot listen at UDP ${address}:${port}: ${message}`);
    }
    this.error = message;
    this.timer = setTimeout(() => void this.open(), RETRY_MS);
  }
}

/** An answer that is too long tells how it went and what it came to, and leaves the details out. */
function inOneDatagram(cookie: string, answer: Readonly<Record<string, Encodable>>): string {
  const text = `${cookie} ${encode(answer)}`;
  if (text.length <= MOST_ANSWER) return text;
  const reason = 'The answer does not fit into a datagram';
  const { result, totals } = answer;
  const short =
    'sdp' in answer || totals === undefined
      ? { result: 'error', 'error-reason': reason }
      : { result, warning: reason, totals };
  return `${cookie} ${encode(short)}`;
}
