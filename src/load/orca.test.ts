// The codec of ORCA against gRPC's own .proto files and their codec, both ways; then bytes from
// anywhere.

import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  STREAM_CORE_METRICS_METHOD as REFERENCE,
  type ReferenceReport,
} from '../../test/support/orca-reference.ts';
import { Prng } from '../base/prng.ts';
import {
  decodeOrcaReport,
  decodeOrcaRequest,
  encodeOrcaReport,
  encodeOrcaRequest,
  figuresOfOrca,
  MAX_ORCA_REPORT_BYTES,
  MAX_ORCA_REQUEST_BYTES,
  type OrcaReport,
  orcaOfFigures,
  STREAM_CORE_METRICS,
} from './orca.ts';
import { isRejection, type Rejection } from './rejections.ts';
import { FIGURE_LIMITS } from './report-limits.ts';

function accepted<Result extends object>(result: Result | Rejection): Result {
  if (isRejection(result)) throw new Error(`${result.rejected}: ${result.detail}`);
  return result;
}

const FULL: ReferenceReport = {
  cpu_utilization: 1.5,
  mem_utilization: 0.25,
  rps: 4_294_967_299,
  request_cost: { db: 3.25 },
  utilization: { disk: 0.5, größe: 1 },
  rps_fractional: 120.5,
  eps: 2,
  named_metrics: { 'weir.clients': 17, queue: 4 },
  application_utilization: 0.75,
};

describe('OrcaLoadReport', () => {
  it('of gRPC is read', () => {
    const report = accepted(decodeOrcaReport(REFERENCE.responseSerialize(FULL)));
    expect(report).toEqual({
      cpuUtilization: 1.5,
      memUtilization: 0.25,
      rps: 4_294_967_299,
      requestCost: new Map([['db', 3.25]]),
      utilization: new Map([
        ['disk', 0.5],
        ['größe', 1],
      ]),
      rpsFractional: 120.5,
      eps: 2,
      namedMetrics: new Map([
        ['weir.clients', 17],
        ['queue', 4],
      ]),
      applicationUtilization: 0.75,
    });
    expect(figuresOfOrca(report)).toEqual({
      cpuUtilization: 1.5,
      memoryUtilization: 0.25,
      applicationUtilization: 0.75,
      requestsPerSecond: 120.5,
      errorsPerSecond: 2,
      clients: 17,
    });
  });

  it('is written so that gRPC reads it', () => {
    const report = accepted(decodeOrcaReport(REFERENCE.responseSerialize(FULL)));
    expect(REFERENCE.responseDeserialize(encodeOrcaReport(report))).toEqual(FULL);
    expect(REFERENCE.responseDeserialize(encodeOrcaReport({ cpuUtilization: 0 }))).toEqual({
      cpu_utilization: 0,
    });
  });

  it('of an old writer has only whole requests per second', () => {
    const report = accepted(decodeOrcaReport(REFERENCE.responseSerialize({ rps: 12 })));
    expect(figuresOfOrca(report)).toEqual({ requestsPerSecond: 12 });
  });

  it('that is empty says nothing', () => {
    expect(figuresOfOrca(accepted(decodeOrcaReport(Buffer.alloc(0))))).toEqual({});
  });

  it('carries every figure of weir’s own agent', () => {
    const figures = Object.fromEntries(Object.keys(FIGURE_LIMITS).map((name, i) => [name, i / 16]));
    const bytes = encodeOrcaReport(orcaOfFigures(figures));
    expect(figuresOfOrca(accepted(decodeOrcaReport(bytes)))).toEqual(figures);
  });

  it('with figures that are none is refused when they are taken out', () => {
    const reasonOf = (report: Partial<OrcaReport>) => {
      const result = figuresOfOrca(accepted(decodeOrcaReport(encodeOrcaReport(report))));
      return isRejection(result) ? result.rejected : 'accepted';
    };
    expect(reasonOf({ cpuUtilization: Number.NaN })).toBe('not-a-number');
    expect(reasonOf({ eps: Number.POSITIVE_INFINITY })).toBe('not-a-number');
    expect(reasonOf({ memUtilization: -0.1 })).toBe('negative');
    expect(reasonOf({ memUtilization: 1.1 })).toBe('out-of-range');
    expect(reasonOf({ namedMetrics: new Map([['weir.clients', 1e308]]) })).toBe('out-of-range');
    expect(reasonOf({ namedMetrics: new Map([['another', 1e308]]) })).toBe('accepted');
  });

  it('skips fields that it does not know, of every wire type', () => {
    const known = encodeOrcaReport({ eps: 1 });
    const unknown = Buffer.from(
      'f80101' + 'f9010102030405060708' + 'fa0103616263' + 'fd0101020304' + '0801',
      'hex',
    );
    expect(decodeOrcaReport(Buffer.concat([unknown, known, unknown]))).toMatchObject({ eps: 1 });
  });

  it.each([
    ['an end within a varint', '18ff'],
    ['a varint of eleven bytes', `18${'ff'.repeat(10)}01`],
    ['an end within a double', '0900000000'],
    ['a length beyond the end', '22ff01'],
    ['a huge length', '22ffffffff0f'],
    ['an entry beyond its map', '220309000a'],
    ['a group', '0b0c'],
    ['field 0', '0001'],
    ['a long key', `22cc010ac901${'61'.repeat(201)}`],
  ])('is malformed with %s', (_, hex) => {
    expect(decodeOrcaReport(Buffer.from(hex, 'hex'))).toMatchObject({ rejected: 'malformed' });
  });

  it('is bounded in bytes and entries', () => {
    expect(decodeOrcaReport(Buffer.alloc(MAX_ORCA_REPORT_BYTES + 1))).toMatchObject({
      rejected: 'too-large',
    });
    const metrics = (count: number) => {
      const namedMetrics = new Map(Array.from({ length: count }, (_, i) => [`m${i}`, i]));
      return decodeOrcaReport(encodeOrcaReport({ namedMetrics }));
    };
    expect(isRejection(metrics(256))).toBe(false);
    expect(metrics(257)).toMatchObject({ rejected: 'too-many' });
  });
});

describe('OrcaLoadReportRequest', () => {
  it('of gRPC is read', () => {
    const bytes = REFERENCE.requestSerialize({
      report_interval: { seconds: 2, nanos: 250_000_000 },
      request_cost_names: ['db', 'cpu'],
    });
    expect(decodeOrcaRequest(bytes)).toEqual({
      reportIntervalMs: 2250,
      requestCostNames: ['db', 'cpu'],
    });
    expect(decodeOrcaRequest(REFERENCE.requestSerialize({}))).toEqual({
      reportIntervalMs: 0,
      requestCostNames: [],
    });
  });

  it('is written so that gRPC reads it', () => {
    expect(REFERENCE.requestDeserialize(encodeOrcaRequest(1500, ['db']))).toEqual({
      report_interval: { seconds: 1, nanos: 500_000_000 },
      request_cost_names: ['db'],
    });
    expect(decodeOrcaRequest(encodeOrcaRequest(100))).toMatchObject({ reportIntervalMs: 100 });
  });

  it('with a negative interval, or too long, is refused', () => {
    const of = (seconds: number, nanos: number) =>
      decodeOrcaRequest(REFERENCE.requestSerialize({ report_interval: { seconds, nanos } }));
    expect(of(-1, 0)).toMatchObject({ rejected: 'malformed' });
    expect(of(0, -1)).toMatchObject({ rejected: 'malformed' });
    expect(of(0, 1_000_000_000)).toMatchObject({ rejected: 'malformed' });
    expect(decodeOrcaRequest(Buffer.alloc(MAX_ORCA_REQUEST_BYTES + 1))).toMatchObject({
      rejected: 'too-large',
    });
  });

  it('has the method’s path', () => {
    expect(STREAM_CORE_METRICS).toBe(REFERENCE.path);
  });
});

describe('bytes from anywhere', () => {
  const seed = Number(process.env.FUZZ_SEED ?? randomBytes(4).readInt32LE());

  it('end as a message or a rejection', () => {
    const random = new Prng(seed);
    const good = REFERENCE.responseSerialize(FULL);
    const seen = { accepted: 0, rejected: 0 };
    for (let i = 0; i < 100_000; i++) {
      const bytes = Buffer.from(good);
      for (let change = random.below(4); change >= 0; change--) {
        bytes[random.below(bytes.length)] = random.next();
      }
      const length = random.below(3) === 0 ? random.below(bytes.length) : bytes.length;
      const result = decodeOrcaReport(bytes.subarray(0, length));
      seen[isRejection(result) ? 'rejected' : 'accepted']++;
      if (isRejection(result)) continue;
      const figures = figuresOfOrca(result);
      if (isRejection(figures)) continue;
      const isGood = Object.values(figures).every((value) => value >= 0 && value <= 1e9);
      expect(isGood, `seed ${seed}`).toBe(true);
    }
    expect(Math.min(seen.accepted, seen.rejected), `seed ${seed}`).toBeGreaterThan(1000);
  });

  it('random numbers come through to gRPC and from it', () => {
    const random = new Prng(seed);
    const bits = new DataView(new ArrayBuffer(8));
    const number = () => {
      bits.setInt32(0, random.next());
      bits.setInt32(4, random.next());
      return bits.getFloat64(0);
    };
    for (let i = 0; i < 2000; i++) {
      const sent = { eps: number(), rps: random.next() >>> 0, named_metrics: { a: number() } };
      const report = accepted(decodeOrcaReport(REFERENCE.responseSerialize(sent)));
      expect(report.eps, `seed ${seed}`).toBe(sent.eps);
      expect(report.rps, `seed ${seed}`).toBe(sent.rps);
      expect(REFERENCE.responseDeserialize(encodeOrcaReport(report))).toEqual(sent);
    }
  });
});
