// Messages of gRPC within the body of an HTTP/2 request or answer ("gRPC over HTTP2",
// Length-Prefixed-Message): one byte that says whether the message is compressed, four bytes of
// length, the message.
//
// Invariant: a reader holds at most one message of the largest size; what is longer or compressed
// (nobody here asks for compression) is refused as soon as its five bytes are there.

import { Buffer } from 'node:buffer';
import { type Rejection, rejection } from './rejections.ts';

const PREFIX_BYTES = 5;

/** A message with its prefix, not compressed. */
export function frameGrpcMessage(message: Uint8Array): Buffer {
  const bytes = Buffer.alloc(PREFIX_BYTES + message.length);
  bytes.writeUInt32BE(message.length, 1);
  bytes.set(message, PREFIX_BYTES);
  return bytes;
}

/** Cuts a stream of bytes into messages. */
export class GrpcMessageReader {
  private readonly mostBytes: number;
  private pending: Buffer = Buffer.alloc(0);

  /** @param mostBytes the largest message that is taken */
  constructor(mostBytes: number) {
    this.mostBytes = mostBytes;
  }

  /**
   * @param chunk what has come
   * @returns the messages that are complete now, or why the stream is to be ended
   */
  push(chunk: Uint8Array): Buffer[] | Rejection {
    this.pending = Buffer.concat([this.pending, chunk]);
    const messages: Buffer[] = [];
    while (this.pending.length >= PREFIX_BYTES) {
      const length = this.pending.readUInt32BE(1);
      if (this.pending[0] !== 0) return rejection('malformed', 'the message is compressed');
      if (length > this.mostBytes) {
        return rejection('too-large', `a message of ${length} bytes, at most ${this.mostBytes}`);
      }
      if (this.pending.length < PREFIX_BYTES + length) break;
      messages.push(this.pending.subarray(PREFIX_BYTES, PREFIX_BYTES + length));
      this.pending = this.pending.subarray(PREFIX_BYTES + length);
    }
    return messages;
  }

  /** Whether the stream has ended between two messages. */
  isAtBoundary(): boolean {
    return this.pending.length === 0;
  }
}
