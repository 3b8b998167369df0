// The few BPF instructions that weir's own XDP programs consist of, as a list of 64-bit words. Each
// instruction is: opcode u8 │ destination register (low nibble) and source register u8 │ offset i16 │
// immediate i32. Kernel documentation: Documentation/bpf/standardization/instruction-set.rst (RFC 9669).

const SIZE = 8;

export const R0 = 0;
export const R1 = 1;
export const R2 = 2;
export const R3 = 3;

const LOAD_WORD = 0x61; // LDX | MEM | W
const LOAD_IMMEDIATE_64 = 0x18; // LD | IMM | DW, two slots
const MOVE_IMMEDIATE = 0xb7; // ALU64 | MOV | K
const CALL = 0x85;
const EXIT = 0x95;
/** Source register of LOAD_IMMEDIATE_64: the immediate is the file descriptor of a map. */
const PSEUDO_MAP_FD = 1;

export class BpfAssembler {
  readonly #words: Uint8Array[] = [];

  #emit(opcode: number, to: number, from: number, offset: number, immediate: number): this {
    const word = new DataView(new ArrayBuffer(SIZE));
    word.setUint8(0, opcode);
    word.setUint8(1, (from << 4) | to);
    word.setInt16(2, offset, true);
    word.setInt32(4, immediate, true);
    this.#words.push(new Uint8Array(word.buffer));
    return this;
  }

  /** to = *(u32 *)(from + offset) */
  loadWord(to: number, from: number, offset: number): this {
    return this.#emit(LOAD_WORD, to, from, offset, 0);
  }

  /** to = immediate, sign-extended */
  move(to: number, immediate: number): this {
    return this.#emit(MOVE_IMMEDIATE, to, 0, 0, immediate);
  }

  /** to = address of the map behind a file descriptor */
  loadMap(to: number, mapFd: number): this {
    this.#emit(LOAD_IMMEDIATE_64, to, PSEUDO_MAP_FD, 0, mapFd);
    return this.#emit(0, 0, 0, 0, 0);
  }

  /** r0 = helper(r1, r2, …) */
  call(helper: number): this {
    return this.#emit(CALL, 0, 0, 0, helper);
  }

  /** return r0 */
  exit(): this {
    return this.#emit(EXIT, 0, 0, 0, 0);
  }

  /** The program as the kernel takes it. */
  assemble(): Uint8Array {
    const program = new Uint8Array(this.#words.length * SIZE);
    this.#words.forEach((word, i) => {
      program.set(word, i * SIZE);
    });
    return program;
  }
}
