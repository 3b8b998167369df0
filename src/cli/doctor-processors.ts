// `weir doctor`: whether the switching processors have their CPUs to themselves (step 301 of Fig. 11):
// pinned, in a partition of their own, without interrupts. It tells what `weir run` will do about it at
// its start (supervisor/isolation.ts), and changes nothing itself.

import type { Configuration } from '../control/config/schema.ts';
import { onlineCpus } from '../sys/affinity.ts';
import { usableCpus, whyNoPartition } from '../sys/cpu-partition.ts';
import { interfaceInterrupts, interruptCpus, setInterruptCpus } from '../sys/interrupts.ts';
import { isolatedCpus } from '../sys/kernel-facts.ts';
import { type Finding, missing, notHad, notNeeded, ok } from './doctor-finding.ts';

/** Findings about CPUs, cpusets and interrupts. */
export function examineProcessors(configuration: Configuration | undefined): Finding[] {
  if (configuration === undefined) {
    const reason = `CPU ${onlineCpus().join(',')}; --config FILE tells which are to be set apart`;
    return [ok('cpus', reason), notNeeded('cpu-partition', 'no CPUs are to be set apart')];
  }
  const { switching, cpus, isolate } = configuration.processors;
  if (cpus === undefined) {
    const reason = `processors.cpus is not set: ${switching} switching processor(s) run anywhere`;
    const advice = 'processors: { cpus: […] }, one CPU for each';
    return [
      notHad('cpus', reason, advice),
      notNeeded('cpu-partition', 'no CPUs are to be set apart'),
      notNeeded('interrupts', 'no CPUs are to be set apart'),
    ];
  }
  const allowed = usableCpus();
  const forbidden = cpus.filter((cpu) => !allowed.includes(cpu));
  if (forbidden.length > 0) {
    const reason = `CPU ${forbidden.join(',')} is offline or outside of this process's cpuset`;
    return [missing('cpus', reason, `use some of ${allowed.join(',')}`)];
  }
  if (isolate === 'off') {
    return [
      pinned(cpus),
      notNeeded('cpu-partition', 'processors.isolate is off'),
      notNeeded('interrupts', 'processors.isolate is off'),
    ];
  }
  const names = configuration.interfaces.map(({ name }) => name);
  return [pinned(cpus), partition(cpus), ...names.map((name) => interrupts(name, cpus))];
}

function pinned(cpus: readonly number[]): Finding {
  const others = onlineCpus().filter((cpu) => !cpus.includes(cpu));
  if (others.length === 0) {
    const reason = 'the switching processors have all CPUs: control and the kernel run there too';
    return notHad('cpus', reason, 'leave one CPU out of processors.cpus');
  }
  return ok(
    'cpus',
    `pinned to CPU ${cpus.join(',')}; weir's other threads keep to ${others.join(',')}`,
  );
}

function partition(cpus: readonly number[]): Finding {
  const name = 'cpu-partition';
  const isolated = isolatedCpus();
  if (isolated !== '') return ok(name, `the kernel was started with isolcpus=${isolated}`);
  const reason = whyNoPartition(cpus);
  if (reason === '')
    return ok(name, 'the group that this runs in is a partition: weir run makes one below');
  const advice =
    'a group of its own that is a partition (docs/guides/production.md), or isolcpus= on the kernel command line';
  return notHad(name, `${reason}: threads of others may run on these CPUs`, advice);
}

function interrupts(interfaceName: string, cpus: readonly number[]): Finding {
  const name = `interface ${interfaceName}: interrupts`;
  const all = interfaceInterrupts(interfaceName);
  if (all.length === 0) return notNeeded(name, 'it has none: a device without hardware');
  const there = all.filter((one) => interruptCpus(one).some((cpu) => cpus.includes(cpu)));
  if (there.length === 0)
    return ok(name, `none of ${all.length} comes in on CPU ${cpus.join(',')}`);
  // Written as it is: whether that may be done, and whether the kernel lets it.
  const refused = there
    .map((one) => ({ one, why: setInterruptCpus(one, interruptCpus(one)) }))
    .filter(({ why }) => why !== '');
  if (refused.length === 0) return ok(name, `${there.join(', ')} will be moved at the start`);
  const reason = refused.map(({ one, why }) => `${one}: ${why}`).join(', ');
  const advice = 'root may move them; with EIO the kernel manages them: fewer queues (ethtool -L)';
  return notHad(name, `stay on CPU ${cpus.join(',')}: ${reason}`, advice);
}
