// Messages of ORCA, in which servers of gRPC and Envoy tell their load:
// xds.data.orca.v3.OrcaLoadReport and xds.service.orca.v3.OrcaLoadReportRequest
// (github.com/cncf/xds), and what of them weir understands.
//
//   OrcaLoadReport                       LoadFigures
//    1 cpu_utilization        double     cpuUtilization
//    2 mem_utilization        double     memoryUtilization
//    3 rps (deprecated)       uint64     requestsPerSecond, when 6 is not there
//    4 request_cost           map        –
//    5 utilization            map        –
//    6 rps_fractional         double     requestsPerSecond
//    7 eps                    double     errorsPerSecond
//    8 named_metrics          map        'weir.…', see NAMED_METRICS
//    9 application_utilization double    applicationUtilization
//   OrcaLoadReportRequest: 1 report_interval (Duration), 2 request_cost_names
//
// Writers of proto3 leave out what is 0, so what is not there is not known here: the figure is
// absent. weir's own agent writes zeros as well, which every reader takes.
//
// Invariant: whatever the bytes are, the result is a message within the limits here or a rejection.

import { Buffer } from 'node:buffer';
import type { LoadFigure, LoadFigures } from './load-report.ts';
import {
  FIXED64,
  LENGTH_DELIMITED,
  MalformedMessage,
  ProtobufReader,
  ProtobufWriter,
  VARINT,
} from './protobuf.ts';
import { type Rejection, rejection } from './rejections.ts';
import { checkFigures } from './report-limits.ts';

/** Path of the method by which a client asks for reports. */
export const STREAM_CORE_METRICS = '/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics';
export const MAX_ORCA_REPORT_BYTES = 65_536;
export const MAX_ORCA_REQUEST_BYTES = 4096;
/** Entries of all maps of a report, or names of a request. */
const MAX_ENTRIES = 256;
const MAX_KEY_BYTES = 200;
const MAX_INTERVAL_SECONDS = 315_576_000_000;

export interface OrcaReport {
  readonly cpuUtilization?: number;
  readonly memUtilization?: number;
  readonly rps?: number;
  readonly rpsFractional?: number;
  readonly eps?: number;
  readonly applicationUtilization?: number;
  readonly requestCost: ReadonlyMap<string, number>;
  readonly utilization: ReadonlyMap<string, number>;
  readonly namedMetrics: ReadonlyMap<string, number>;
}

export interface OrcaRequest {
  /** 0 when the client leaves it to the server. */
  readonly reportIntervalMs: number;
  readonly requestCostNames: readonly string[];
}

/** Figures that ORCA has no field for, and the names under which weir's agent and weir know them. */
export const NAMED_METRICS: readonly (readonly [LoadFigure, string])[] = [
  ['cpuPressure', 'weir.cpu_pressure'],
  ['memoryPressure', 'weir.memory_pressure'],
  ['ioPressure', 'weir.io_pressure'],
  ['clients', 'weir.clients'],
  ['connectionsPerSecond', 'weir.connections_per_second'],
  ['executionTimeMs', 'weir.execution_time_ms'],
];

type Scalar = Exclude<keyof OrcaReport, MapName>;
type MapName = 'requestCost' | 'utilization' | 'namedMetrics';

const DOUBLES: readonly (readonly [number, Scalar])[] = [
  [1, 'cpuUtilization'],
  [2, 'memUtilization'],
  [6, 'rpsFractional'],
  [7, 'eps'],
  [9, 'applicationUtilization'],
];
const RPS = 3;
const MAPS: readonly (readonly [number, MapName])[] = [
  [4, 'requestCost'],
  [5, 'utilization'],
  [8, 'namedMetrics'],
];

/** Reads an OrcaLoadReport. Numbers are as they were sent; figuresOfOrca checks them. */
export function decodeOrcaReport(bytes: Uint8Array): OrcaReport | Rejection {
  if (bytes.length > MAX_ORCA_REPORT_BYTES) {
    return rejection('too-large', `${bytes.length} bytes, at most ${MAX_ORCA_REPORT_BYTES}`);
  }
  return decoded(bytes, (reader) => {
    const scalars: { [name in Scalar]?: number } = {};
    const maps = { requestCost: new Map(), utilization: new Map(), namedMetrics: new Map() };
    let entries = 0;
    while (reader.next()) {
      const scalar = DOUBLES.find(([field]) => reader.is(field, FIXED64));
      const map = MAPS.find(([field]) => reader.is(field, LENGTH_DELIMITED));
      if (scalar !== undefined) scalars[scalar[1]] = reader.double();
      else if (reader.is(RPS, VARINT)) scalars.rps = reader.varint();
      else if (map !== undefined) {
        if (++entries > MAX_ENTRIES) return rejection('too-many', `over ${MAX_ENTRIES} metrics`);
        readEntry(reader.delimited(), maps[map[1]]);
      } else reader.skip();
    }
    return { ...scalars, ...maps };
  });
}

/** Writes an OrcaLoadReport: all that is there, also zeros. */
export function encodeOrcaReport(report: Partial<OrcaReport>): Buffer {
  const writer = new ProtobufWriter();
  for (const [field, name] of DOUBLES) {
    const value = report[name];
    if (value !== undefined) writer.double(field, value);
  }
  if (report.rps !== undefined) writer.varint(RPS, Math.round(report.rps));
  for (const [field, name] of MAPS) {
    for (const [key, value] of report[name] ?? []) {
      const entry = new ProtobufWriter().delimited(1, key).double(2, value).finish();
      writer.delimited(field, entry);
    }
  }
  return writer.finish();
}

/** What of a report weir understands, checked as every figure is. */
export function figuresOfOrca(report: OrcaReport): LoadFigures | Rejection {
  const named = NAMED_METRICS.map(([figure, name]) => [figure, report.namedMetrics.get(name)]);
  return checkFigures({
    cpuUtilization: report.cpuUtilization,
    memoryUtilization: report.memUtilization,
    applicationUtilization: report.applicationUtilization,
    requestsPerSecond: report.rpsFractional ?? report.rps,
    errorsPerSecond: report.eps,
    ...Object.fromEntries(named),
  });
}

/** The report for figures of weir's agent. */
export function orcaOfFigures(figures: LoadFigures): OrcaReport {
  const namedMetrics = new Map<string, number>();
  for (const [figure, name] of NAMED_METRICS) {
    const value = figures[figure];
    if (value !== undefined) namedMetrics.set(name, value);
  }
  return {
    cpuUtilization: figures.cpuUtilization,
    memUtilization: figures.memoryUtilization,
    applicationUtilization: figures.applicationUtilization,
    rpsFractional: figures.requestsPerSecond,
    eps: figures.errorsPerSecond,
    requestCost: new Map(),
    utilization: new Map(),
    namedMetrics,
  };
}

/** Reads an OrcaLoadReportRequest. */
export function decodeOrcaRequest(bytes: Uint8Array): OrcaRequest | Rejection {
  if (bytes.length > MAX_ORCA_REQUEST_BYTES) {
    return rejection('too-large', `${bytes.length} bytes, at most ${MAX_ORCA_REQUEST_BYTES}`);
  }
  return decoded(bytes, (reader) => {
    let reportIntervalMs = 0;
    const requestCostNames: string[] = [];
    while (reader.next()) {
      if (reader.is(1, LENGTH_DELIMITED)) reportIntervalMs = readDurationMs(reader.delimited());
      else if (reader.is(2, LENGTH_DELIMITED)) requestCostNames.push(reader.text(MAX_KEY_BYTES));
      else reader.skip();
    }
    if (requestCostNames.length <= MAX_ENTRIES) return { reportIntervalMs, requestCostNames };
    return rejection('too-many', `${requestCostNames.length} names, at most ${MAX_ENTRIES}`);
  });
}

/**
 * Writes an OrcaLoadReportRequest.
 *
 * @param reportIntervalMs how often the server is to report; whole milliseconds
 */
export function encodeOrcaRequest(
  reportIntervalMs: number,
  requestCostNames: readonly string[] = [],
): Buffer {
  const duration = new ProtobufWriter();
  const seconds = Math.floor(reportIntervalMs / 1000);
  const nanoseconds = Math.round(reportIntervalMs % 1000) * 1_000_000;
  if (seconds > 0) duration.varint(1, seconds);
  if (nanoseconds > 0) duration.varint(2, nanoseconds);
  const writer = new ProtobufWriter().delimited(1, duration.finish());
  for (const name of requestCostNames) writer.delimited(2, name);
  return writer.finish();
}

/** google.protobuf.Duration. Negative ones are varints of ten bytes, which are beyond its range. */
function readDurationMs(bytes: Buffer): number {
  const reader = new ProtobufReader(bytes);
  let milliseconds = 0;
  while (reader.next()) {
    if (reader.is(1, VARINT)) {
      const seconds = reader.varint();
      if (seconds > MAX_INTERVAL_SECONDS) throw new MalformedMessage('seconds of the interval');
      milliseconds += seconds * 1000;
    } else if (reader.is(2, VARINT)) {
      const nanoseconds = reader.varint();
      if (nanoseconds > 999_999_999) throw new MalformedMessage('nanoseconds of the interval');
      milliseconds += nanoseconds / 1e6;
    } else reader.skip();
  }
  return milliseconds;
}

function readEntry(bytes: Buffer, map: Map<string, number>): void {
  const reader = new ProtobufReader(bytes);
  let key = '';
  let value = 0;
  while (reader.next()) {
    if (reader.is(1, LENGTH_DELIMITED)) key = reader.text(MAX_KEY_BYTES);
    else if (reader.is(2, FIXED64)) value = reader.double();
    else reader.skip();
  }
  map.set(key, value);
}

function decoded<Message>(
  bytes: Uint8Array,
  decode: (reader: ProtobufReader) => Message | Rejection,
): Message | Rejection {
  try {
    return decode(new ProtobufReader(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)));
  } catch (error) {
    if (error instanceof MalformedMessage) return rejection('malformed', error.message);
    throw error;
  }
}
