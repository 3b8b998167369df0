// Real servers in the namespaces of the lab: nginx, dnsmasq, iperf3. Each is given a configuration,
// pid file, log and temporary folders of its own, so nothing of the machine's own installation is
// read or touched. Where nginx is not installed Node's own HTTP server takes its place, and says so.
// A server that is given back is ready: it has answered, or listens, in its own namespace.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { WeirError } from '../base/errors.ts';
import { makeScratchFolder } from './clean-up.ts';
import {
  execute,
  findProgram,
  type LabProcess,
  start,
  startLabProgram,
  waitUntil,
} from './command.ts';
import type { LabHost } from './network.ts';
import { isInUserNamespace } from './privileges.ts';

export interface LabServer {
  readonly host: LabHost;
  /** What it really is. */
  readonly kind: 'nginx' | 'node' | 'dnsmasq' | 'iperf3';
  readonly port: number;
  readonly process: LabProcess;
  stop(): Promise<void>;
}

export interface WebServerOptions {
  /** Default 80. */
  port?: number;
  /** Further ports with the same. */
  morePorts?: readonly number[];
  /** A folder whose files are served below '/files/'. */
  folder?: string;
  /** Accept PUT below '/files/' and keep what comes (nginx only; needs `folder`). */
  upload?: boolean;
}

type Protocol = 'tcp' | 'udp';

/** Whether something in the namespace has the port open. */
function isListening(host: LabHost, protocol: Protocol, port: number): boolean {
  // A program that listens on IPv6's "any" address hears IPv4 too. The second file may be missing.
  const files = [`/proc/net/${protocol}`, `/proc/net/${protocol}6`];
  const { stdout } = execute('cat', files, { namespace: host.namespace, mayFail: true });
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  // Column 1 is the local address; state 0A is LISTEN, 07 an unconnected UDP socket.
  const state = protocol === 'tcp' ? '0A' : '07';
  return stdout.split('\n').some((line) => {
    const columns = line.trim().split(/\s+/);
    return columns[1]?.endsWith(wanted) && columns[3] === state;
  });
}

async function ready(
  host: LabHost,
  kind: LabServer['kind'],
  protocol: Protocol,
  port: number,
  process: LabProcess,
): Promise<LabServer> {
  await waitUntil(
    `${kind} on ${host.name} listens on ${protocol} port ${port}`,
    () => !process.isRunning() || isListening(host, protocol, port),
    10_000,
    () => process.log(),
  );
  if (!process.isRunning()) {
    throw new WeirError('ERR_LAB', `${kind} on ${host.name} ended at once: ${process.log()}`, '');
  }
  return { host, kind, port, process, stop: () => process.stop() };
}

function nginxLocations(options: WebServerOptions, name: string): string {
  const own = `
    location = /health { return 200 "ok\\n"; }
    location / { return 200 "${name}\\n"; }`;
  if (options.folder === undefined) return own;
  const upload = options.upload ? 'dav_methods PUT; create_full_put_path on;' : '';
  return `${own}
    location /files/ { alias ${options.folder}/; client_max_body_size 0; ${upload} }`;
}

function nginxConfiguration(folder: string, name: string, options: WebServerOptions): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${folder}/${kind};`)
    .join('\n  ');
  // A worker changes its user by setgroups(2), which a user namespace forbids even for root to root:
  // a single process there, which changes nothing.
  const ports = [options.port ?? 80, ...(options.morePorts ?? [])];
  const listens = ports.map((port) => `listen ${port} reuseport backlog=4096;`).join('\n    ');
  const processes = isInUserNamespace() ? 'master_process off;' : 'worker_processes 1;';
  return `daemon off;
user root;
${processes}
pid ${folder}/nginx.pid;
error_log stderr warn;
events { worker_connections 16384; }
http {
  ${temporary}
  access_log off;
  default_type text/plain;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  sendfile on;
  server {
    ${listens}
    add_header X-Backend ${name} always;${nginxLocations(options, name)}
  }
}
`;
}

/** nginx, with one worker. `/` answers with the server's name, as does the header X-Backend. */
export function startNginx(host: LabHost, options: WebServerOptions = {}): Promise<LabServer> {
  const folder = makeScratchFolder(`nginx-${host.name}`);
  const file = join(folder, 'nginx.conf');
  writeFileSync(file, nginxConfiguration(folder, host.name, options));
  if (options.folder !== undefined) mkdirSync(options.folder, { recursive: true });
  const process = start('nginx', ['-p', folder, '-e', 'stderr', '-c', file], {
    namespace: host.namespace,
    logFile: join(folder, 'nginx.log'),
  });
  return ready(host, 'nginx', 'tcp', options.port ?? 80, process);
}

/** Node's own HTTP server; it answers a PUT or POST with the length and SHA-256 of the body. */
export function startNodeWebServer(
  host: LabHost,
  options: WebServerOptions = {},
): Promise<LabServer> {
  const folder = makeScratchFolder(`http-${host.name}`);
  const port = options.port ?? 80;
  const ports = [port, ...(options.morePorts ?? [])].join(',');
  const args = [host.name, ports, ...(options.folder === undefined ? [] : [options.folder])];
  const process = startLabProgram('http-server', args, {
    namespace: host.namespace,
    logFile: join(folder, 'http-server.log'),
  });
  return ready(host, 'node', 'tcp', port, process);
}

/** nginx if there is one, else Node's own server; `kind` says which. */
export function startWebServer(host: LabHost, options: WebServerOptions = {}): Promise<LabServer> {
  const choice = findProgram('nginx') === undefined ? startNodeWebServer : startNginx;
  return choice(host, options);
}

/**
 * dnsmasq, which answers for these names with these addresses, and for the TXT name 'server.lab'
 * with the server's own name. It asks nobody else.
 */
export function startDnsServer(
  host: LabHost,
  records: Record<string, string> = {},
  port = 53,
): Promise<LabServer> {
  const folder = makeScratchFolder(`dns-${host.name}`);
  const file = join(folder, 'dnsmasq.conf');
  const addresses = Object.entries(records).map(
    ([name, address]) => `host-record=${name},${address}`,
  );
  const lines = [
    `port=${port}`,
    'no-resolv',
    'no-hosts',
    'local=/lab/',
    `txt-record=server.lab,${host.name}`,
    ...addresses,
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  // Without --no-daemon it would change its user and group, which a user namespace forbids.
  const process = start('dnsmasq', ['--no-daemon', `--conf-file=${file}`], {
    namespace: host.namespace,
    logFile: join(folder, 'dnsmasq.log'),
  });
  return ready(host, 'dnsmasq', 'udp', port, process);
}

/** iperf3's server side. */
export function startIperf3(host: LabHost, port = 5201): Promise<LabServer> {
  const folder = makeScratchFolder(`iperf3-${host.name}`);
  const process = start('iperf3', ['--server', '--port', String(port), '--forceflush'], {
    namespace: host.namespace,
    logFile: join(folder, 'iperf3.log'),
  });
  return ready(host, 'iperf3', 'tcp', port, process);
}
