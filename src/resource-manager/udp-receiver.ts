// The UDP socket for agents' reports. libuv hands over at most 32 datagrams per turn of the event loop,
// and the flood gate lets only so many cost anything; what more arrives stays in the kernel's receive
// buffer, which has RECEIVE_BUFFER_BYTES, and then is dropped there. So a flood takes a bounded part
// of each turn, and timers and other sockets get theirs.
// A socket that cannot be opened, because its address is not there yet, is tried again and again.

import { createSocket, type Socket } from 'node:dgram';
import type { ManagerLog } from './settings.ts';

const RECEIVE_BUFFER_BYTES = 512 * 1024;
const RETRY_MS = 2000;

export class UdpReceiver {
  private readonly listen: { readonly address: string; readonly port: number };
  private readonly onDatagram: (datagram: Uint8Array, address: string) => void;
  private readonly log: ManagerLog;
  private socket: Socket | undefined;
  private timer: NodeJS.Timeout | undefined;
  private isClosed = false;
  /** Why it is not open. */
  error: string | undefined;

  constructor(
    listen: { readonly address: string; readonly port: number },
    onDatagram: (datagram: Uint8Array, address: string) => void,
    log: ManagerLog,
  ) {
    this.listen = listen;
    this.onDatagram = onDatagram;
    this.log = log;
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
      socket.on('message', (datagram, { address: sender }) => this.onDatagram(datagram, sender));
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

  close(): void {
    this.isClosed = true;
    clearTimeout(this.timer);
    this.socket?.close();
    this.socket = undefined;
  }

  private opened(socket: Socket): void {
    this.socket = socket;
    this.error = undefined;
    const { address, port } = socket.address();
    this.log.info(`agents' reports are received at UDP ${address}:${port}`);
  }

  private failed(message: string): void {
    this.socket = undefined;
    if (this.isClosed) return;
    const { address, port } = this.listen;
    if (this.error === undefined) {
      this.log.warning(`agents' reports cannot be received at UDP ${address}:${port}: ${message}`);
    }
    this.error = message;
    this.timer = setTimeout(() => void this.open(), RETRY_MS);
  }
}
