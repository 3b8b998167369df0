import { describe, expect, it } from 'vitest';
import { DoubleBuffer } from './double-buffer.ts';
import {
  HEADER_ROUTING_GENERATION,
  HEADER_TEXT_GENERATION,
  PROCESSOR_ROUTING_GENERATION,
  PROCESSOR_SLEEPING,
  PROCESSOR_STATE,
  ROUTING_TABLE_SIZE,
  STATE_DEAD,
  STATE_RUNNING,
  STATE_STARTING,
  STATE_STOPPED,
} from './layout.ts';
import { plainMainMemory } from './region.ts';

function make() {
  const memory = plainMainMemory({ connections: 1024, frames: 256, processors: 2 });
  const section = memory.layout.routingTable;
  const buffer = new DoubleBuffer(
    memory,
    section,
    ROUTING_TABLE_SIZE,
    HEADER_ROUTING_GENERATION,
    PROCESSOR_ROUTING_GENERATION,
  );
  const set = (processor: number, word: number, value: number) => {
    memory.words[memory.processorWord(processor, word)] = value;
  };
  return { memory, section, buffer, set };
}

describe('DoubleBuffer', () => {
  it('flips between A and B', () => {
    const { buffer, section } = make();
    expect(buffer.activeOffset(buffer.generation())).toBe(section);
    expect(buffer.standbyOffset()).toBe(section + ROUTING_TABLE_SIZE);
    expect(buffer.publish()).toBe(1);
    expect(buffer.activeOffset(buffer.generation())).toBe(section + ROUTING_TABLE_SIZE);
    expect(buffer.standbyOffset()).toBe(section);
  });

  it('waits for every running processor, and for no other', () => {
    const { buffer, set } = make();
    set(0, PROCESSOR_STATE, STATE_RUNNING);
    set(1, PROCESSOR_STATE, STATE_RUNNING);
    buffer.publish();
    expect(buffer.isQuiescent()).toBe(false);
    expect(buffer.enter(0)).toBe(1);
    expect(buffer.isQuiescent()).toBe(false);
    for (const state of [STATE_DEAD, STATE_STOPPED]) {
      set(1, PROCESSOR_STATE, state);
      expect(buffer.isQuiescent()).toBe(true);
    }
    set(1, PROCESSOR_STATE, STATE_STARTING);
    expect(buffer.isQuiescent()).toBe(false);
    set(1, PROCESSOR_SLEEPING, 1);
    expect(buffer.isQuiescent()).toBe(true);
    set(1, PROCESSOR_SLEEPING, 0);
    buffer.enter(1);
    expect(buffer.isQuiescent()).toBe(true);
  });

  it('waits for nobody when nobody shows what he reads', () => {
    const { memory, set } = make();
    set(0, PROCESSOR_STATE, STATE_RUNNING);
    const text = new DoubleBuffer(
      memory,
      memory.layout.configurationText,
      1 << 20,
      HEADER_TEXT_GENERATION,
      -1,
    );
    text.publish();
    expect(text.isQuiescent()).toBe(true);
    expect(text.generation()).toBe(1);
  });
});
