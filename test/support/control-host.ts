// The control host in the lab: a namespace for its programs, which weir puts its pseudo-network device
// into, and the programs that scenarios run there: Debian's own, unchanged.

import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pid } from 'node:process';
import { makeScratchFolder, registerNamespace } from '../../src/lab/clean-up.ts';
import { curl } from '../../src/lab/clients.ts';
import {
  execute,
  findProgram,
  ipBatch,
  type LabProcess,
  start,
  waitUntil,
} from '../../src/lab/command.ts';
import { type LabHost, LabNetwork } from '../../src/lab/network.ts';
import { startNginx } from '../../src/lab/servers.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import { type Kind, switchConfiguration } from './scenario.ts';

const PROCESSORS = 2;

let hosts = 0;

/** Makes the namespace; the device comes when weir starts. */
export function addControlHost(address: string): LabHost {
  hosts += 1;
  const namespace = `weir-${pid}-host-${hosts}`;
  registerNamespace(namespace);
  makeNamespace(namespace);
  return { name: 'control-host', namespace, address, addresses: [address] };
}

export function makeNamespace(namespace: string): void {
  execute('ip', ['netns', 'add', namespace]);
  ipBatch(['link set lo up'], namespace);
}

export interface ControlHostSwitch {
  readonly network: LabNetwork;
  readonly host: LabHost;
  readonly weir: WeirProcess;
}

/**
 * A switch of two processors with a service, and a control host in a namespace of its own that has the
 * address of the external interface, 10.2.0.7 on the internal network, and nginx.
 */
export async function startControlHost(kind: Kind): Promise<ControlHostSwitch> {
  const network = new LabNetwork({ backends: 2, queues: PROCESSORS });
  // The address of an interface: everything that is for weir itself otherwise.
  const host = addControlHost(network.switchInterfaces[0].address);
  await Promise.all(network.servers.map((each) => startNginx(each, { port: 8080 })));
  const backends = network.servers.map(({ name, address }) => ({ name, address, port: 8080 }));
  const address = network.virtualAddress;
  const services = [{ name: 'web', address, protocol: 'tcp', port: 80, backends }];
  const weir = await WeirProcess.start(network.switchNamespace, {
    ...switchConfiguration(network, { kind, processors: PROCESSORS, services }),
    control: { addresses: [`${host.address}/24`, '10.2.0.7/24'], namespace: host.namespace },
  });
  await startNginx(host, { port: 80 });
  return { network, host, weir };
}

export interface PingResult {
  readonly sent: number;
  readonly received: number;
  readonly text: string;
}

/** Pings with the machine's own ping. @param args such as ['-s', '4000'] */
export function ping(host: LabHost, address: string, args: readonly string[] = []): PingResult {
  const options = ['-c', '3', '-i', '0.02', '-W', '2', ...args, address];
  const { namespace } = host;
  const { stdout, stderr } = execute('ping', options, { namespace, mayFail: true });
  const counts = /(\d+) packets transmitted, (\d+) received/.exec(stdout);
  return {
    sent: Number(counts?.[1] ?? 0),
    received: Number(counts?.[2] ?? 0),
    text: `${stdout}${stderr}`,
  };
}

/** CPU time that each of weir's processes has had, in milliseconds, by role. */
export function cpuTimes(weir: WeirProcess): Map<string, number> {
  const times = [...weir.pids()].map(([role, id]): [string, number] => {
    const text = readFileSync(`/proc/${id}/stat`, 'latin1');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    // utime and stime, in hundredths of a second (proc(5)).
    return [role, (Number(fields[11]) + Number(fields[12])) * 10];
  });
  return new Map(times);
}

/** CPU that each role has used since, as a part of one CPU. */
export function cpuSince(weir: WeirProcess, before: Map<string, number>, ms: number): object {
  const parts = [...cpuTimes(weir)].map(([role, now]) => {
    return [role, Math.round(((now - (before.get(role) ?? 0)) / ms) * 100) / 100];
  });
  return Object.fromEntries(parts);
}

/** nginx as an operator would put it before weir's control socket, to let a client outside ask for the status. */
export async function startApiProxy(host: LabHost, socketPath: string, port: number) {
  const folder = makeScratchFolder('proxy');
  const file = join(folder, 'nginx.conf');
  const status = `location = /v1/status { proxy_pass http://unix:${socketPath}; }`;
  writeFileSync(
    file,
    `daemon off; user root; pid ${folder}/pid; error_log stderr; events {}
     http { access_log off; proxy_temp_path ${folder}; client_body_temp_path ${folder};
       server { listen ${port}; ${status} location / { return 403; } } }`,
  );
  const process = start('nginx', ['-p', folder, '-e', 'stderr', '-c', file], {
    namespace: host.namespace,
    logFile: join(folder, 'nginx.log'),
  });
  const isThere = () => curl(host, `http://127.0.0.1:${port}/`).status === 403;
  await waitUntil('the proxy answers', isThere, 10_000, () => process.log());
  return process;
}

export interface SshServer {
  readonly process: LabProcess;
  /** Arguments for `ssh`, up to the address. */
  readonly clientArgs: readonly string[];
}

/** Debian's sshd with keys of its own, for root by key only. */
export async function startSshd(host: LabHost): Promise<SshServer> {
  const folder = makeScratchFolder('sshd');
  const [hostKey, userKey] = ['host', 'user'].map((name) => join(folder, name));
  for (const key of [hostKey, userKey]) {
    execute('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
    chmodSync(key, 0o600);
  }
  const lines = [
    'ListenAddress 0.0.0.0:22',
    `HostKey ${hostKey}`,
    `AuthorizedKeysFile ${userKey}.pub`,
    `PidFile ${join(folder, 'pid')}`,
    'PermitRootLogin prohibit-password',
    'UsePAM no',
    'StrictModes no',
  ];
  writeFileSync(join(folder, 'sshd_config'), `${lines.join('\n')}\n`);
  execute('mkdir', ['-p', '/run/sshd']);
  const args = ['-D', '-e', '-f', join(folder, 'sshd_config')];
  // It insists on being started by its whole path.
  const process = start(findProgram('sshd') ?? '/usr/sbin/sshd', args, {
    namespace: host.namespace,
    logFile: join(folder, 'sshd.log'),
  });
  await waitUntil(
    'sshd listens',
    () => process.log().includes('Server listening'),
    10_000,
    () => process.log(),
  );
  const known = ['UserKnownHostsFile=/dev/null', 'StrictHostKeyChecking=no', 'BatchMode=yes'];
  const options = ['IdentitiesOnly=yes', 'LogLevel=ERROR', ...known].flatMap((each) => [
    '-o',
    each,
  ]);
  return { process, clientArgs: ['-i', userKey, ...options] };
}
