// Goal: a later supervisor reads back what an earlier one wrote, and makes nothing of anything else.

import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { LAYOUT_VERSION } from '../memory/layout.ts';
import { identify, type ProcessIdentity } from './process-identity.ts';
import {
  liveSwitching,
  type MachineState,
  readStateFile,
  removeStateFile,
  stateFilePath,
  writeStateFile,
} from './state-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'weir-state-'));
const path = stateFilePath(join(folder, 'weir.sock'));
const self = identify(process.pid) as ProcessIdentity;
const dead: ProcessIdentity = { pid: process.pid, startTime: '1' };

const STATE: MachineState = {
  layoutVersion: LAYOUT_VERSION,
  supervisor: dead,
  switching: [dead, self],
  control: undefined,
  memorySize: 4096,
  memoryFileDescriptor: 3,
  eventFileDescriptors: [4, 5],
  interfaces: [],
  interfaceNames: ['ext0'],
  idle: 'adaptive',
  cpus: [],
};

afterAll(() => rmSync(folder, { recursive: true }));

describe('the state file', () => {
  it('is read back, and is for its owner only', () => {
    writeStateFile(path, STATE);
    expect(readStateFile(path)).toEqual(STATE);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('names a switching processor that still runs, if there is one', () => {
    expect(liveSwitching(STATE)).toEqual(self);
    expect(liveSwitching({ ...STATE, switching: [dead, undefined] })).toBeUndefined();
  });

  it('means nothing when it is of another layout, damaged, or gone', () => {
    writeStateFile(path, { ...STATE, layoutVersion: LAYOUT_VERSION + 1 });
    expect(readStateFile(path)).toBeUndefined();
    writeFileSync(path, '{"layoutVersion":');
    expect(readStateFile(path)).toBeUndefined();
    removeStateFile(path);
    expect(readStateFile(path)).toBeUndefined();
  });
});
