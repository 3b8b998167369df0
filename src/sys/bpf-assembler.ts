// The few BPF instructions that weir's own XDP programs consist of, as a list of 64-bit words. Each
// instruction is: opcode u8 │ destination register (low nibble) and source register u8 │ offset i16 │
// immediate i32. Kernel documentation: Documentation/bpf/standardization/instruction-set.rst (RFC 9669).

const SIZE = 8;

export const R0 = 0;
export const R1 = 1;
export const R2 = 2;
export const R3 = 3;
export const R4 = 4;
export const R5 = 5;
/** R6 … R9 keep their values over a call; R0 … R5 do not. */
export const R6 = 6;
export const R7 = 7;
export const R8 = 8;
export const R9 = 9;
/** The top of the stack: read only. */
export const R10 = 10;

// Loads and stores: LDX | MEM, ST | MEM, STX | MEM.
const LOAD_BYTE = 0x71;
const LOAD_HALF = 0x69;
const LOAD_WORD = 0x61;
const LOAD_DOUBLE = 0x79;
const LOAD_IMMEDIATE_64 = 0x18; // LD | IMM | DW, two slots
const STORE_BYTE_IMMEDIATE = 0x72;
const STORE_WORD_IMMEDIATE = 0x62;
const STORE_HALF = 0x6b;
const STORE_WORD = 0x63;
const STORE_DOUBLE = 0x7b;
const ATOMIC_ADD_64 = 0xdb; // STX | ATOMIC | DW, immediate BPF_ADD
// Arithmetic on all 64 bits: ALU64, with an immediate (K) or a register (X).
const MOVE_IMMEDIATE = 0xb7;
const MOVE = 0xbf;
const ADD_IMMEDIATE = 0x07;
const ADD = 0x0f;
const SUBTRACT = 0x1f;
const MULTIPLY_IMMEDIATE = 0x27;
const OR = 0x4f;
const AND_IMMEDIATE = 0x57;
const AND = 0x5f;
const SHIFT_LEFT_IMMEDIATE = 0x67;
const SHIFT_LEFT = 0x6f;
const SHIFT_RIGHT_IMMEDIATE = 0x77;
const SHIFT_RIGHT = 0x7f;
const XOR_IMMEDIATE = 0xa7;
const XOR = 0xaf;
const TO_BIG_ENDIAN = 0xdc; // ALU | END | TO_BE
// Jumps: JMP, with an immediate (K) or a register (X).
const JUMP = 0x05;
const JUMP_IF_EQUAL_IMMEDIATE = 0x15;
const JUMP_IF_GREATER_IMMEDIATE = 0x25;
const JUMP_IF_GREATER = 0x2d;
const JUMP_IF_BIT_IMMEDIATE = 0x45;
const JUMP_IF_NOT_EQUAL_IMMEDIATE = 0x55;
const JUMP_IF_NOT_EQUAL = 0x5d;
const CALL = 0x85;
const EXIT = 0x95;
/** Source register of LOAD_IMMEDIATE_64: the immediate is the file descriptor of a map. */
const PSEUDO_MAP_FD = 1;
/** The same, with the offset of a place in the map's only value as the second slot's immediate. */
const PSEUDO_MAP_VALUE = 2;

export class BpfAssembler {
  readonly #words: Uint8Array[] = [];
  readonly #labels = new Map<string, number>();
  readonly #jumps: { at: number; label: string }[] = [];
  #unique = 0;

  #emit(opcode: number, to: number, from: number, offset: number, immediate: number): this {
    const word = new DataView(new ArrayBuffer(SIZE));
    word.setUint8(0, opcode);
    word.setUint8(1, (from << 4) | to);
    word.setInt16(2, offset, true);
    word.setInt32(4, immediate, true);
    this.#words.push(new Uint8Array(word.buffer));
    return this;
  }

  /** to = *(u8 *)(from + offset) */
  loadByte(to: number, from: number, offset: number): this {
    return this.#emit(LOAD_BYTE, to, from, offset, 0);
  }

  /** to = *(u16 *)(from + offset) */
  loadHalf(to: number, from: number, offset: number): this {
    return this.#emit(LOAD_HALF, to, from, offset, 0);
  }

  /** to = *(u32 *)(from + offset) */
  loadWord(to: number, from: number, offset: number): this {
    return this.#emit(LOAD_WORD, to, from, offset, 0);
  }

  /** to = *(u64 *)(from + offset) */
  loadDouble(to: number, from: number, offset: number): this {
    return this.#emit(LOAD_DOUBLE, to, from, offset, 0);
  }

  /** *(u8 *)(to + offset) = immediate */
  storeByte(to: number, offset: number, immediate: number): this {
    return this.#emit(STORE_BYTE_IMMEDIATE, to, 0, offset, immediate);
  }

  /** *(u32 *)(to + offset) = immediate */
  storeWord(to: number, offset: number, immediate: number): this {
    return this.#emit(STORE_WORD_IMMEDIATE, to, 0, offset, immediate);
  }

  /** *(u16 *)(to + offset) = from */
  storeHalf(to: number, offset: number, from: number): this {
    return this.#emit(STORE_HALF, to, from, offset, 0);
  }

  /** *(u32 *)(to + offset) = from */
  storeWordFrom(to: number, offset: number, from: number): this {
    return this.#emit(STORE_WORD, to, from, offset, 0);
  }

  /** *(u64 *)(to + offset) = from */
  storeDouble(to: number, offset: number, from: number): this {
    return this.#emit(STORE_DOUBLE, to, from, offset, 0);
  }

  /** atomically *(u64 *)(to + offset) += from */
  atomicAdd(to: number, offset: number, from: number): this {
    return this.#emit(ATOMIC_ADD_64, to, from, offset, 0);
  }

  /** to = immediate, sign-extended */
  move(to: number, immediate: number): this {
    return this.#emit(MOVE_IMMEDIATE, to, 0, 0, immediate);
  }

  /** to = from */
  copy(to: number, from: number): this {
    return this.#emit(MOVE, to, from, 0, 0);
  }

  /** to += immediate */
  addImmediate(to: number, immediate: number): this {
    return this.#emit(ADD_IMMEDIATE, to, 0, 0, immediate);
  }

  /** to += from */
  add(to: number, from: number): this {
    return this.#emit(ADD, to, from, 0, 0);
  }

  /** to -= from */
  subtract(to: number, from: number): this {
    return this.#emit(SUBTRACT, to, from, 0, 0);
  }

  /** to *= immediate, sign-extended */
  multiply(to: number, immediate: number): this {
    return this.#emit(MULTIPLY_IMMEDIATE, to, 0, 0, immediate);
  }

  /** to |= from */
  or(to: number, from: number): this {
    return this.#emit(OR, to, from, 0, 0);
  }

  /** to &= immediate, sign-extended */
  and(to: number, immediate: number): this {
    return this.#emit(AND_IMMEDIATE, to, 0, 0, immediate);
  }

  /** to &= from */
  andRegister(to: number, from: number): this {
    return this.#emit(AND, to, from, 0, 0);
  }

  /** to <<= bits */
  shiftLeft(to: number, bits: number): this {
    return this.#emit(SHIFT_LEFT_IMMEDIATE, to, 0, 0, bits);
  }

  /** to <<= bits in a register, 0 … 63 */
  shiftLeftBy(to: number, bits: number): this {
    return this.#emit(SHIFT_LEFT, to, bits, 0, 0);
  }

  /** to >>>= bits */
  shiftRight(to: number, bits: number): this {
    return this.#emit(SHIFT_RIGHT_IMMEDIATE, to, 0, 0, bits);
  }

  /** to >>>= bits in a register, 0 … 63 */
  shiftRightBy(to: number, bits: number): this {
    return this.#emit(SHIFT_RIGHT, to, bits, 0, 0);
  }

  /** to ^= immediate, sign-extended */
  xor(to: number, immediate: number): this {
    return this.#emit(XOR_IMMEDIATE, to, 0, 0, immediate);
  }

  /** to ^= from */
  xorRegister(to: number, from: number): this {
    return this.#emit(XOR, to, from, 0, 0);
  }

  /** The lower `bits` (16, 32) of a register from host to network order; the rest is zero. */
  toNetworkOrder(register: number, bits: number): this {
    return this.#emit(TO_BIG_ENDIAN, register, 0, 0, bits);
  }

  /** goto label */
  jump(label: string): this {
    return this.#jump(JUMP, 0, 0, 0, label);
  }

  /** if (left > right) goto label, as numbers without a sign */
  jumpIfGreater(left: number, right: number, label: string): this {
    return this.#jump(JUMP_IF_GREATER, left, right, 0, label);
  }

  /** if (left > immediate) goto label, as numbers without a sign */
  jumpIfGreaterThan(left: number, immediate: number, label: string): this {
    return this.#jump(JUMP_IF_GREATER_IMMEDIATE, left, 0, immediate, label);
  }

  /** if (left == immediate) goto label */
  jumpIfEqual(left: number, immediate: number, label: string): this {
    return this.#jump(JUMP_IF_EQUAL_IMMEDIATE, left, 0, immediate, label);
  }

  /** if (left != immediate) goto label */
  jumpIfNotEqual(left: number, immediate: number, label: string): this {
    return this.#jump(JUMP_IF_NOT_EQUAL_IMMEDIATE, left, 0, immediate, label);
  }

  /** if (left != right) goto label */
  jumpIfDiffers(left: number, right: number, label: string): this {
    return this.#jump(JUMP_IF_NOT_EQUAL, left, right, 0, label);
  }

  /** if ((left & immediate) != 0) goto label */
  jumpIfAny(left: number, immediate: number, label: string): this {
    return this.#jump(JUMP_IF_BIT_IMMEDIATE, left, 0, immediate, label);
  }

  #jump(opcode: number, left: number, right: number, immediate: number, label: string): this {
    this.#jumps.push({ at: this.#words.length, label });
    return this.#emit(opcode, left, right, 0, immediate);
  }

  /** Names the next instruction, for jumps to it from before or from behind (the verifier wants an end). */
  label(name: string): this {
    if (this.#labels.has(name)) throw new Error(`two labels ${name}`);
    this.#labels.set(name, this.#words.length);
    return this;
  }

  /** A label that nobody else has, for code that is emitted more than once. */
  uniqueLabel(name: string): string {
    this.#unique += 1;
    return `${name}-${this.#unique}`;
  }

  /** to = address of the map behind a file descriptor */
  loadMap(to: number, mapFd: number): this {
    this.#emit(LOAD_IMMEDIATE_64, to, PSEUDO_MAP_FD, 0, mapFd);
    return this.#emit(0, 0, 0, 0, 0);
  }

  /** to = address of a place in the only value of an array map: no look-up, never null */
  loadMapValue(to: number, mapFd: number, offset = 0): this {
    this.#emit(LOAD_IMMEDIATE_64, to, PSEUDO_MAP_VALUE, 0, mapFd);
    return this.#emit(0, 0, 0, 0, offset);
  }

  /** r0 = helper(r1, r2, …) */
  call(helper: number): this {
    return this.#emit(CALL, 0, 0, 0, helper);
  }

  /** return r0 */
  exit(): this {
    return this.#emit(EXIT, 0, 0, 0, 0);
  }

  /** The program as the kernel takes it. Throws when a jump leads to no label. */
  assemble(): Uint8Array {
    for (const { at, label } of this.#jumps) {
      const target = this.#labels.get(label);
      if (target === undefined) throw new Error(`no label ${label}`);
      const word = this.#words[at];
      new DataView(word.buffer).setInt16(2, target - at - 1, true);
    }
    const program = new Uint8Array(this.#words.length * SIZE);
    this.#words.forEach((word, i) => {
      program.set(word, i * SIZE);
    });
    return program;
  }
}
