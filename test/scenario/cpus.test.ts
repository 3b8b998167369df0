// Whoever is given CPUs of its own has them alone: the packets' thread of a switching processor runs on
// the CPU that the configuration names, and no thread of the supervisor, of control, or of a switching
// processor's own compiler may come there. A switching processor that was killed has its CPU again.

import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { cleanAll } from '../../src/lab/clean-up.ts';
import { waitUntil } from '../../src/lab/command.ts';
import { LabNetwork } from '../../src/lab/network.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import { allowedCpus, parseCpuList } from '../../src/sys/affinity.ts';
import { describeOnBestKind, switchConfiguration } from '../support/scenario.ts';

const OWN = 1;
const allowed = allowedCpus();
const hasTwo = allowed.length > 1 && allowed.includes(OWN);

/** CPUs that each thread of a process may run on; its main thread first. */
function cpusOfThreads(pid: number): number[][] {
  return readdirSync(`/proc/${pid}/task`)
    .sort((a, b) => Number(a) - Number(b))
    .map((thread) => {
      const status = readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8');
      return parseCpuList(/^Cpus_allowed_list:\s*(.*)$/m.exec(status)?.[1] ?? '');
    });
}

describeOnBestKind('CPUs', [], (kind) => {
  let weir: WeirProcess;

  beforeAll(async () => {
    if (!hasTwo) return;
    const network = new LabNetwork({ backends: 1 });
    const [{ name, address }] = network.servers;
    weir = await WeirProcess.start(network.switchNamespace, {
      ...switchConfiguration(network, {
        kind,
        services: [
          {
            name: 'web',
            address: network.virtualAddress,
            protocol: 'tcp',
            port: 80,
            backends: [{ name, address, port: 80 }],
          },
        ],
      }),
      processors: { switching: 1, cpus: [OWN] },
    });
  });
  afterAll(cleanAll);

  const check = (): void => {
    const elsewhere = allowed.filter((cpu) => cpu !== OWN);
    for (const [role, pid] of weir.pids()) {
      const [main, ...others] = cpusOfThreads(pid);
      expect(main, `${role}, its main thread`).toEqual(
        role.startsWith('switching') ? [OWN] : elsewhere,
      );
      expect(others.length, `${role}, other threads`).toBeGreaterThan(0);
      for (const cpus of others) expect(cpus, `${role}, another thread`).toEqual(elsewhere);
    }
  };

  it.skipIf(!hasTwo)('of switching processors are theirs alone, after a kill as well', async () => {
    expect([...weir.pids().keys()].sort()).toEqual(['control', 'supervisor', 'switching 0']);
    check();
    const [before] = weir.kill('SIGKILL', 'switching 0');
    const pid = await weir.waitForRestart('switching 0', before);
    await waitUntil('it is bound', () => cpusOfThreads(pid)[0].length === 1);
    check();
  });
});
