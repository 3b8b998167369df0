// What the language gives to everybody (Math, Atomics, arrays, maps …) is one and the same for the switch and
// for the applications in its process: a module that replaces Array.prototype.map or Math.imul would have the
// switch compute with it. So these are fastened before the first module of others is imported: who tries
// to change them gets a TypeError, which is the application's failure and nobody else's.
//
// Left as they are: what derived objects commonly write over (Object, Function, Error: a frozen prototype
// would forbid `error.name = …`), but for additions to Object.prototype. Of Node, what ends the process.

/** Objects whose functions the packet path, the loader or Node's own modules of it call. */
const NAMES = [
  'Array',
  'ArrayBuffer',
  'Atomics',
  'BigInt',
  'Boolean',
  'DataView',
  'Float64Array',
  'Int32Array',
  'JSON',
  'Map',
  'Math',
  'Number',
  'Promise',
  'Reflect',
  'RegExp',
  'Set',
  'SharedArrayBuffer',
  'String',
  'Symbol',
  'Uint32Array',
  'Uint8Array',
  'WeakMap',
] as const;

let isDone = false;

/** Once in a process. Afterwards `process.exit` throws: who needs it has kept it before. */
export function fastenGlobals(): void {
  if (isDone) return;
  isDone = true;
  for (const name of NAMES) {
    const value = globalThis[name] as { prototype?: object };
    Object.defineProperty(globalThis, name, { value, writable: false, configurable: false });
    Object.freeze(value);
    if (value.prototype !== undefined) Object.freeze(value.prototype);
  }
  const shared: unknown[] = [Int32Array.prototype, [][Symbol.iterator](), new Map().entries()];
  // The prototype of all typed arrays, and those of what goes through arrays and maps.
  for (const each of shared) Object.freeze(Object.getPrototypeOf(each));
  Object.preventExtensions(Object.prototype);
  for (const name of ['exit', 'abort'] as const) {
    const value = (): never => {
      throw new Error(`process.${name}: an application cannot end its processor`);
    };
    Object.defineProperty(process, name, { value, writable: false, configurable: false });
  }
}
