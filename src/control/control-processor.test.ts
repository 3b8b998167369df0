import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { MainMemory } from '../memory/region.ts';
import { CLAIMS_SIZE } from '../sys/claims-map.ts';
import { ClaimsTable } from '../sys/claims-table.ts';
import { Claims } from './claims.ts';
import { fileText, runningMemory, serviceText, takeOver } from './control.harness.ts';
import { ControlProcessor } from './control-processor.ts';

const WEB = fileText([serviceText('web', 80, [11, 12])]);

let folder: string;
let file: string;
let memory: MainMemory;
let logged: string[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weir-control-'));
  file = join(folder, 'weir.yaml');
  writeFileSync(file, WEB);
  memory = runningMemory();
  logged = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** @param claims what is weir's on shared interfaces */
function processor(claims?: Claims): ControlProcessor {
  const note = (message: string): void => {
    logged.push(message);
  };
  return new ControlProcessor({
    memory,
    plan: { configurationFile: file, interfaceNames: ['ext0', 'int0'] },
    version: '1.2.3',
    log: { info: note, warning: note, error: note },
    wake: () => takeOver(memory),
    ...(claims && { claims }),
  });
}

async function started(): Promise<ControlProcessor> {
  const control = processor();
  await control.start();
  return control;
}

describe('ControlProcessor', () => {
  it('starts with the file', async () => {
    const control = processor();
    expect(control.status().state).toBe('starting');
    await control.start();
    const { state, version, configuration, services } = control.status();
    expect({ state, version }).toEqual({ state: 'ready', version: '1.2.3' });
    expect(configuration).toMatchObject({ generation: 1, file, reloadsRefused: 0 });
    expect(services.map(({ name }) => name)).toEqual(['web']);
  });

  it('refuses a reload whose claims on shared interfaces do not fit, and nothing has changed', async () => {
    const table = new ClaimsTable(new ArrayBuffer(CLAIMS_SIZE), 0);
    const control = processor(new Claims(memory, table, () => []));
    const shared = WEB.replace('{ name: ext0,', '{ name: ext0, mode: shared,');
    writeFileSync(file, shared);
    await control.start();
    const { claims } = control.status();
    const match = '[{ protocol: tcp, port: 1-40000 }]';
    const guard = `applications: [{ name: guard, module: ./guard.mjs, match: ${match} }]`;
    writeFileSync(join(folder, 'guard.mjs'), 'export default {}');
    writeFileSync(file, `${shared}\n${guard}`);
    const result = await control.reload();
    expect(result).toMatchObject({ applied: false, generation: 1 });
    expect(result.refused).toMatch(/shared interfaces hold 32768 .* are wanted/);
    expect(control.status()).toMatchObject({ claims, configuration: { generation: 1 } });
    expect(control.status().applications).toEqual([]);
    await control.stop();
  });

  it('does not start with other interfaces than were opened', async () => {
    const swapped = WEB.replace('ext0', 'x')
      .replace('int0', 'ext0')
      .replace('name: x', 'name: int0');
    writeFileSync(file, swapped);
    const fault = processor().start();
    await expect(fault).rejects.toThrow(/names the interfaces int0, ext0, but .* ext0, int0/);
    expect(processor().status().configuration.generation).toBe(0);
  });

  it('does not start with a file that has faults, and names each in the log', async () => {
    writeFileSync(file, WEB.replace('port: 80,', 'port: 99999,'));
    await expect(processor().start()).rejects.toMatchObject({ code: 'ERR_CONFIG_INVALID' });
    expect(logged.join('\n')).toMatch(/weir\.yaml:\d+:\d+: services\[0\]\.port/);
    expect(processor().status().configuration.generation).toBe(0);
  });

  it('reloads, and says what has changed', async () => {
    const control = await started();
    writeFileSync(file, fileText([serviceText('web', 80, [11, 13])]));
    const result = await control.reload();
    expect(result).toMatchObject({ applied: true, generation: 2, faults: [] });
    expect(result.changes).toContain('service web: backend b12 removed');
    expect(logged).toContain('service web: backend b12 removed');
    expect(control.status().services[0].backends.map(({ name }) => name)).toEqual(['b11', 'b13']);
  });

  it('refuses a file with faults, and goes on as before', async () => {
    const control = await started();
    writeFileSync(file, WEB.replace('protocol: tcp', 'protocol: sctp'));
    const result = await control.reload();
    expect(result).toMatchObject({ applied: false, generation: 1 });
    expect(result.faults).toHaveLength(1);
    expect(result.text).toContain('sctp');
    const { configuration, services } = control.status();
    expect(configuration).toMatchObject({ generation: 1, reloadsRefused: 1 });
    expect(services[0].protocol).toBe('tcp');
  });

  it('refuses what only a restart can change, and a file that is not there', async () => {
    const control = await started();
    writeFileSync(file, WEB.replace('switching: 2', 'switching: 1'));
    expect((await control.reload()).refused).toMatch(/processors\.switching.*restart weir/);
    rmSync(file);
    expect((await control.reload()).refused).toMatch(/cannot be read: ENOENT/);
    expect(control.status().configuration).toMatchObject({ generation: 1, reloadsRefused: 2 });
  });

  it('does reloads one after the other', async () => {
    const control = await started();
    const backends = (generation: number): number[] => [11, 20 + generation];
    const results = [2, 3, 4].map((generation) => {
      writeFileSync(file, fileText([serviceText('web', 80, backends(generation))]));
      return control.reload();
    });
    const generations = (await Promise.all(results)).map((result) => result.generation);
    expect(generations).toEqual([2, 3, 4]);
    // All three read the last file, so only the first of them finds changes.
    const changes = (await Promise.all(results)).map((result) => result.changes.length);
    expect(changes).toEqual([2, 0, 0]);
  });

  it('comes back with what is running, not with what the file says', async () => {
    await started();
    writeFileSync(file, fileText([serviceText('web', 80, [13])]));
    const control = await started();
    const { configuration, services } = control.status();
    expect(configuration.generation).toBe(2);
    expect(services[0].backends.map(({ name }) => name)).toEqual(['b11', 'b12']);
    expect(logged.join('\n')).toContain('is different');
    // And a reload says what is different from what runs.
    expect((await control.reload()).changes).toContain('service web: backend b12 removed');
  });
});
