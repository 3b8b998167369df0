// Forwarding over veth: packets per second that one switching processor carries with full NAT, from a
// generator on CPU 0 through the switch on CPU 1 to a receiver that counts and drops. Real interfaces,
// the real `weir run`. Needs root, two CPUs, and a kernel that runs live XDP frames.
// The receiver works on CPU 0 as another host would (--receiver apart), or within the switch's own
// transmissions, on its CPU (--receiver within), as veth has it unless told otherwise.
//   node dist/bench/micro/forward.js [--kind af-xdp|af-packet] [--flows N] [--seconds S] [--receiver …]

import { parseArgs } from 'node:util';
import { cleanAll } from '../../src/lab/clean-up.ts';
import { execute, type LabProcess, startLabProgram, waitUntil } from '../../src/lab/command.ts';
import { LabNetwork } from '../../src/lab/network.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';

const { values } = parseArgs({
  options: {
    kind: { type: 'string', default: 'af-xdp' },
    flows: { type: 'string', default: '65536' },
    seconds: { type: 'string', default: '6' },
    receiver: { type: 'string', default: 'apart' },
    json: { type: 'boolean', default: false },
  },
});
const seconds = Number(values.seconds);
const flows = Number(values.flows);
const UDP = '17';
/** The other end of the switch's internal interface. */
const RECEIVER = 'up0';

interface Reading {
  readonly packets: number;
  readonly atMs: number;
}

/** Steady rate between two readings: skips the first second, in which connections are made. */
function rate(readings: readonly Reading[], fromMs: number, toMs: number): number {
  const inside = readings.filter(({ atMs }) => atMs >= fromMs && atMs <= toMs);
  const [first] = inside;
  const last = inside.at(-1) as Reading;
  return ((last.packets - first.packets) / (last.atMs - first.atMs)) * 1000;
}

function lines<Row>(text: string): Row[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Row);
}

function configuration(network: LabNetwork): object {
  return {
    interfaces: network.switchInterfaces.map(({ name, address, prefixLength }) => ({
      name,
      kind: values.kind,
      addresses: [`${address}/${prefixLength}`],
    })),
    routes: [{ to: '10.64.0.0/16', via: network.client.address }],
    processors: { switching: 1, idle: 'busy', cpus: [1] },
    limits: { connections: Math.max(65536, flows * 2), frames: 16384 },
    services: [
      {
        name: 'sink',
        address: network.virtualAddress,
        protocol: 'udp',
        port: 9,
        backends: network.servers.map(({ name, address }) => ({ name, address, port: 9 })),
      },
    ],
  };
}

/** Everything that a program of the lab writes, when it has ended. */
function output(program: LabProcess): () => string {
  let text = '';
  program.child.stdout?.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  return () => text;
}

/**
 * The receiver stands for another host: its work is done by a kernel thread on CPU 0, not by the switch's
 * CPU in the middle of each transmission.
 */
function receiveElsewhere({ internalNamespace: namespace }: LabNetwork): void {
  execute('sh', ['-c', `echo 1 > /sys/class/net/${RECEIVER}/threaded`], { namespace });
  const { stdout } = execute('pgrep', ['-f', `napi/${RECEIVER}-`], { mayFail: true });
  for (const pid of stdout.trim().split('\n')) execute('taskset', ['-pc', '0', pid]);
}

async function measure() {
  const network = new LabNetwork({ backends: 1 });
  const weir = await WeirProcess.start(network.switchNamespace, configuration(network));
  if (values.kind === 'af-packet') {
    // A veth takes redirected frames only while it polls: XDP makes it do so, and so does GRO.
    execute('ethtool', ['-K', 'ext0', 'gro', 'on'], { namespace: network.switchNamespace });
  }
  const external = network.switchInterfaces.find(({ side }) => side === 'external');
  const counter = startLabProgram('packet-counter', [RECEIVER, UDP], {
    namespace: network.internalNamespace,
    pipeOutput: true,
  });
  const counted = output(counter);
  await waitUntil('the counter counts', () => counted() !== '');
  if (values.receiver === 'apart') receiveElsewhere(network);
  const generator = startLabProgram(
    'packet-generator',
    [
      JSON.stringify({
        interface: 'eth0',
        destination: network.virtualAddress,
        destinationMac: external?.macAddress,
        destinationPort: 9,
        flows,
        seconds,
        cpu: 0,
        // The receiver shares the generator's CPU, and must keep up.
        niceness: 10,
      }),
    ],
    { namespace: network.client.namespace, pipeOutput: true },
  );
  const generated = output(generator);
  await generator.exited;
  const status = await weir.status();
  await counter.stop();
  const readings = lines<Reading>(counted());
  const moving = readings.filter(({ packets }, i) => i > 0 && packets > readings[i - 1].packets);
  const began = moving[0]?.atMs ?? 0;
  const offered = lines<{ packets: number; seconds: number }>(generated())[0];
  return {
    kind: values.kind,
    flows,
    offeredMpps: offered.packets / offered.seconds / 1e6,
    forwardedMpps: rate(readings, began + 1500, began + (seconds - 0.3) * 1000) / 1e6,
    reasons: status.totals.reasons,
    interfaces: status.interfaces,
  };
}

try {
  const result = await measure();
  if (values.json) process.stdout.write(`${JSON.stringify(result)}\n`);
  else {
    process.stdout.write(
      `${result.kind}, ${flows} flows: offered ${result.offeredMpps.toFixed(2)} Mpps, ` +
        `forwarded ${result.forwardedMpps.toFixed(3)} Mpps by one processor, ` +
        `receiver ${values.receiver}\n`,
    );
  }
} finally {
  await cleanAll();
}
