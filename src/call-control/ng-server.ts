// The UDP socket of the ng protocol: a cookie, a space, a dictionary; the answer bears the same cookie. Whoever
// may speak to it directs media, so it listens on the management network only, and to those that are allowed.
// libuv hands over at most 32 datagrams per turn of the event loop; what more arrives waits in the kernel's
// buffer and is dropped there. A socket that cannot be opened yet is tried again and again.
// Invariant: no datagram makes the process fail, or remember more than the reply cache holds.

import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { decode, encode } from './bencode.ts';
import type { NgCommands } from './ng-commands.ts';
import { ReplyCache } from './reply-cache.ts';
import type { RelayLog, RelaySettings } from './settings.ts';

const RECEIVE_BUFFER_BYTES = 1024 * 1024;
const RETRY_MS = 2000;
const MOST_COOKIE = 256;
const SPACE = 0x20;

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
    const cookie = datagram.toString('latin1', 0, end);
    const key = `${sender} ${cookie}`;
    const nowMs = this.nowMs();
    const before = this.replies.find(key, nowMs);
    if (before !== undefined) {
      this.repeated += 1;
      return before;
    }
    const asked = decode(datagram.subarray(end + 1));
    const answer = `${cookie} ${encode(this.commands.handle(asked))}`;
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
