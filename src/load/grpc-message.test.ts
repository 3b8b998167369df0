// Messages of gRPC in a stream of bytes, however it is cut, and what ends a stream.

import { describe, expect, it } from 'vitest';
import { frameGrpcMessage, GrpcMessageReader } from './grpc-message.ts';

const MESSAGES = [Buffer.from('one'), Buffer.alloc(0), Buffer.alloc(100, 7)];

describe('messages of gRPC', () => {
  it('have five bytes before them', () => {
    expect(frameGrpcMessage(Buffer.from('ab')).toString('hex')).toBe('00000000026162');
  });

  it('are found in a stream, however it is cut', () => {
    const stream = Buffer.concat(MESSAGES.map(frameGrpcMessage));
    for (const size of [1, 2, 5, 7, 64, stream.length]) {
      const reader = new GrpcMessageReader(100);
      const found: Buffer[] = [];
      for (let at = 0; at < stream.length; at += size) {
        const part = reader.push(stream.subarray(at, at + size));
        if (!Array.isArray(part)) throw new Error(part.detail);
        found.push(...part);
      }
      expect(found).toEqual(MESSAGES);
      expect(reader.isAtBoundary()).toBe(true);
    }
  });

  it('are refused when too long or compressed, before they have come', () => {
    const reader = () => new GrpcMessageReader(99);
    expect(reader().push(Buffer.from('0000000064', 'hex'))).toMatchObject({
      rejected: 'too-large',
    });
    expect(reader().push(Buffer.from('0100000001', 'hex'))).toMatchObject({
      rejected: 'malformed',
    });
    const unfinished = reader();
    expect(unfinished.push(Buffer.from('0000000005aa', 'hex'))).toEqual([]);
    expect(unfinished.isAtBoundary()).toBe(false);
  });
});
