import { describe, expect, it } from 'vitest';
import { BpfAssembler, R0, R1, R2, R9 } from './bpf-assembler.ts';

/** The instructions, one hexadecimal word each. */
function words(program: BpfAssembler): string[] {
  const text = Buffer.from(program.assemble()).toString('hex');
  return text.match(/.{16}/g) ?? [];
}

describe('the assembler', () => {
  it('encodes loads and stores of every width', () => {
    const program = new BpfAssembler()
      .loadByte(R1, R2, 1)
      .loadHalf(R1, R2, 2)
      .loadWord(R1, R2, 4)
      .loadDouble(R1, R2, -8)
      .storeByte(R1, 1, 0xab)
      .storeHalf(R1, 2, R2)
      .storeWord(R1, 4, 5)
      .storeWordFrom(R1, 4, R2)
      .storeDouble(R1, 8, R9);
    expect(words(program)).toEqual([
      '7121010000000000',
      '6921020000000000',
      '6121040000000000',
      '7921f8ff00000000',
      '72010100ab000000',
      '6b21020000000000',
      '6201040005000000',
      '6321040000000000',
      '7b91080000000000',
    ]);
  });

  it('lets jumps lead forward and back', () => {
    const program = new BpfAssembler()
      .move(R0, 10)
      .label('again')
      .addImmediate(R0, -1)
      .jumpIfEqual(R0, 0, 'done')
      .jumpIfAny(R0, -1, 'again')
      .jump('again')
      .label('done')
      .exit();
    expect(words(program)).toEqual([
      'b70000000a000000',
      '07000000ffffffff',
      '1500020000000000',
      '4500fdffffffffff',
      '0500fcff00000000',
      '9500000000000000',
    ]);
  });

  it('gives the place in a map as the second half of a long instruction', () => {
    expect(words(new BpfAssembler().loadMapValue(R2, 7, 64))).toEqual([
      '1822000007000000',
      '0000000040000000',
    ]);
  });

  it('refuses labels that are missing or there twice, and makes ones of its own', () => {
    expect(() => new BpfAssembler().jump('nowhere').assemble()).toThrow('no label nowhere');
    expect(() => new BpfAssembler().label('a').label('a')).toThrow('two labels a');
    const program = new BpfAssembler();
    expect(program.uniqueLabel('a')).not.toBe(program.uniqueLabel('a'));
  });
});
