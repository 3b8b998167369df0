import { describe, expect, it } from 'vitest';
import { WeirError } from '../base/errors.ts';
import { loadXdpProgram } from './bpf.ts';
import { BpfAssembler, R0 } from './bpf-assembler.ts';
import { closeFd, libc } from './libc.ts';
import { dedicatedInstructions, loadDedicatedProgram } from './xdp-program.ts';

/** Found out by trying: capability bits mean nothing for BPF in a user namespace. */
function whyNot(): string {
  try {
    const { programFd, mapFd } = loadDedicatedProgram(1);
    closeFd(programFd);
    closeFd(mapFd);
    return '';
  } catch (error) {
    if (error instanceof WeirError && error.code !== 'ERR_SYSTEM_CALL') return error.message;
    throw error;
  }
}

const reason = whyNot();
if (reason !== '') console.log(`skipped, loading XDP programs: ${reason}`);

describe('the dedicated XDP program', () => {
  it('is these instructions', () => {
    const expected = [
      '6112100000000000', // r2 = *(u32 *)(r1 + 16)
      '1811000007000000', // r1 = map 7
      '0000000000000000',
      'b703000002000000', // r3 = XDP_PASS
      '8500000033000000', // call bpf_redirect_map
      '9500000000000000', // exit
    ];
    expect(Buffer.from(dedicatedInstructions(7)).toString('hex')).toBe(expected.join(''));
  });

  it.skipIf(reason !== '')('passes the verifier', () => {
    const { programFd, mapFd } = loadDedicatedProgram(4);
    expect(libc.close(programFd)).toBe(0);
    expect(libc.close(mapFd)).toBe(0);
  });

  it.skipIf(reason !== '')('or the error says what the verifier said', () => {
    // Returns without having set r0.
    const program = new BpfAssembler().exit().assemble();
    expect(() => closeFd(loadXdpProgram(program, 'weir_bad'))).toThrow(/R0 !read_ok/);
    const good = new BpfAssembler().move(R0, 2).exit().assemble();
    closeFd(loadXdpProgram(good, 'weir_good'));
  });
});
