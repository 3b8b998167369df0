// What the packet path calls by a name (Math, Atomics, arrays …) is one and the same for the switch and for the
// applications in its process. The names are fastened before the first module of others is imported, and
// the process cannot be ended by `process.exit`: who tries gets an error, which is the application's failure
// and nobody else's. What stands behind the names is left as it is: with several prototypes frozen, V8 reads
// and writes typed arrays by its slow way, and a known packet costs five times as much (Node 20.20).

/** What the packet path calls by these names. */
const NAMES = ['Array', 'Atomics', 'DataView', 'Int32Array', 'Map', 'Math'] as const;

let isDone = false;

/** Once in a process. Afterwards `process.exit` throws: who needs it has kept it before. */
export function fastenGlobals(): void {
  if (isDone) return;
  isDone = true;
  for (const name of NAMES) {
    const value = globalThis[name];
    Object.defineProperty(globalThis, name, { value, writable: false, configurable: false });
  }
  for (const name of ['exit', 'abort'] as const) {
    const value = (): never => {
      throw new Error(`process.${name}: an application cannot end its processor`);
    };
    Object.defineProperty(process, name, { value, writable: false, configurable: false });
  }
}
