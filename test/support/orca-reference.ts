// ORCA as gRPC itself has it: its .proto files, which come with @grpc/grpc-js, read by the loader that comes
// with it. Tests hold weir's own codec and its servers and clients against it.

import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';

/** Names as in the .proto files; what is absent is absent. */
export interface ReferenceReport {
  cpu_utilization?: number;
  mem_utilization?: number;
  rps?: number | string;
  request_cost?: Record<string, number>;
  utilization?: Record<string, number>;
  rps_fractional?: number;
  eps?: number;
  named_metrics?: Record<string, number>;
  application_utilization?: number;
}

export interface ReferenceRequest {
  report_interval?: { seconds?: number | string; nanos?: number };
  request_cost_names?: string[];
}

type Loader = { loadSync(file: string, options: object): Record<string, unknown> };
type StreamCoreMetrics = MethodDefinition<ReferenceRequest, ReferenceReport>;

const GRPC = dirname(createRequire(import.meta.url).resolve('@grpc/grpc-js/package.json'));
const LOADER = '@grpc/proto-loader';
const loader = createRequire(join(GRPC, 'package.json'))(LOADER) as Loader;
const definitions = loader.loadSync('xds/service/orca/v3/orca.proto', {
  keepCase: true,
  longs: Number,
  includeDirs: [join(GRPC, 'proto/xds'), join(GRPC, 'proto/protoc-gen-validate')],
});

/** xds.service.orca.v3.OpenRcaService, for a server or a client of @grpc/grpc-js. */
export const OPEN_RCA_SERVICE = definitions[
  'xds.service.orca.v3.OpenRcaService'
] as ServiceDefinition;

export const STREAM_CORE_METRICS_METHOD = OPEN_RCA_SERVICE.StreamCoreMetrics as StreamCoreMetrics;
