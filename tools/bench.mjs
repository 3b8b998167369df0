// `npm run bench`: sets up, then runs the micro-benchmarks one after the other. Figures are printed and
// never asserted: they are this machine's, at this hour.
//   npm run bench                 all of them, about a minute and a half
//   npm run bench -- filter       only those named: filter, connection-table, forward

import { spawnSync } from 'node:child_process';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { setUp, TOP } from './setup.mjs';

const MICRO = join(TOP, 'dist', 'bench', 'micro');
const BENCHMARKS = [
  { name: 'filter', what: 'the packet filter alone', args: ['filter.js'] },
  { name: 'connection-table', what: 'the connection table alone', args: ['connection-table.js'] },
  {
    name: 'forward',
    what: 'forwarding over veth, full NAT, one processor, af-xdp',
    args: ['forward.js', '--kind', 'af-xdp'],
    needsRoot: true,
  },
  {
    name: 'forward',
    what: 'the same, with the receiver at work on the same CPU',
    args: ['forward.js', '--kind', 'af-xdp', '--receiver', 'within'],
    needsRoot: true,
  },
  {
    name: 'forward',
    what: 'forwarding over veth, full NAT, one processor, af-packet',
    args: ['forward.js', '--kind', 'af-packet'],
    needsRoot: true,
  },
];

const wanted = process.argv.slice(2);
const known = new Set(BENCHMARKS.map(({ name }) => name));
const unknown = wanted.filter((name) => !known.has(name));
if (unknown.length > 0) {
  console.error(`no benchmark ${unknown.join(', ')}; there are: ${[...known].join(', ')}`);
  process.exit(2);
}
if (!setUp({ packages: 'if-possible' })) process.exit(1);
const [cpu] = cpus();
console.log(
  `\n${cpu.model.trim()}, ${cpus().length} CPUs, Linux ${release()}, Node ${process.version}`,
);
let failed = 0;
for (const { name, what, args, needsRoot } of BENCHMARKS) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  console.log(`\n== ${what}`);
  if (needsRoot && process.getuid() !== 0) {
    console.log('skipped: needs root (XDP and network namespaces)');
    continue;
  }
  const [program, ...rest] = args;
  const { status } = spawnSync(process.execPath, [join(MICRO, program), ...rest], {
    stdio: 'inherit',
  });
  if (status !== 0) failed++;
}
process.exit(failed === 0 ? 0 : 1);
