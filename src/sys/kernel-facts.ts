// What the running kernel says about itself and about this process, for `weir doctor`: options that it
// was built with, its clock, huge pages, who may trace whom. Everything is optional: a container hides
// some of it, and what cannot be read is undefined.

import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import { gunzipSync } from 'node:zlib';

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}

/** The options that the kernel was built with, as in its .config; undefined where nobody tells. */
export function kernelOptions(): ReadonlyMap<string, string> | undefined {
  const text = compressedOptions() ?? readText(`/boot/config-${release()}`);
  if (text === undefined) return undefined;
  const lines = text.matchAll(/^(CONFIG_\w+)=(.*)$/gm);
  return new Map([...lines].map(([, name, value]) => [name, value]));
}

function compressedOptions(): string | undefined {
  try {
    return gunzipSync(readFileSync('/proc/config.gz')).toString('utf8');
  } catch {
    return undefined;
  }
}

/** What CLOCK_MONOTONIC is read from: tsc, kvm-clock, hpet …. */
export function clockSource(): string | undefined {
  return readText('/sys/devices/system/clocksource/clocksource0/current_clocksource');
}

/** Huge pages of 2 MiB that are set aside and free; undefined where the kernel has none. */
export function freeHugePages(): number | undefined {
  const text = readText('/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages');
  return text === undefined ? undefined : Number(text);
}

/** kernel.yama.ptrace_scope; undefined where Yama is not active. */
export function ptraceScope(): number | undefined {
  const text = readText('/proc/sys/kernel/yama/ptrace_scope');
  return text === undefined ? undefined : Number(text);
}

/** CPUs that the kernel was started to leave alone (isolcpus=), as a list; '' for none. */
export function isolatedCpus(): string {
  return readText('/sys/devices/system/cpu/isolated') ?? '';
}

/** The driver's name and what tells more of it, as the kernel has them; '' where it does not. */
export function linkAttribute(name: string, attribute: string): string {
  return readText(`/sys/class/net/${name}/${attribute}`) ?? '';
}
