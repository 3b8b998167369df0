// What operators change at run time: drains and weights (B6: behind an interface of their own). The control
// socket's routes call these (admin-backends.ts); each resolves when its change is in force. One line of log
// each, with who asked.

import { monotonicMsUnwrapped } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { BackendActions } from './admin-backends.ts';
import type { Feedback } from './feedback.ts';
import type { DrainRequest, Operation } from './operator-changes.ts';

export function backendOperations(feedback: Feedback, log: Pick<Log, 'info'>): BackendActions {
  const operator = () => feedback.master.operator;
  return {
    backends: (service) => feedback.views(service),
    keys: () => feedback.master.roster.flatMap(({ backends }) => backends.map(({ key }) => key)),
    hasOther: (service, name) => feedback.hasOther(service, name),
    backend: (service, name) => feedback.view(service, name),
    changes: () => feedback.changes(),
    async drain(backend: string, request: DrainRequest, operation: Operation) {
      const nowMs = monotonicMsUnwrapped();
      await feedback.change(backend, operator().withDrain(backend, request, operation, nowMs));
      const { deadlineMs, atDeadline } = request;
      const end =
        deadlineMs === null ? 'without a deadline' : `${deadlineMs / 1000} s, then ${atDeadline}`;
      log.info(`${backend} is drained by ${operation.by}, ${end}`);
    },
    async undrain(backend: string, operation: Operation) {
      await feedback.change(backend, operator().withoutDrain(backend));
      log.info(`${backend} is drained no longer, by ${operation.by}`);
    },
    async setWeight(backend: string, weight: number | null, operation: Operation) {
      const changed =
        weight === null
          ? operator().withoutWeight(backend)
          : operator().withWeight(backend, weight, operation);
      await feedback.change(backend, changed);
      log.info(`${backend} has weight ${weight ?? 'as configured'}, by ${operation.by}`);
    },
  };
}
