/** What becomes of the inputs. */
export type InputEvents<I> = {
  /** Whether one more input is wanted now; asked before each. */
  isWanted(): boolean;
  onInput(input: I): void;
  /** There are no more. */
  onEnd(): void;
  /** The inputs themselves failed; there are no more. */
  onError(error: unknown): void;
};

/** Inputs that are pulled one by one, and only as far as they are wanted. */
export type Inputs = {
  /** Goes on pulling while inputs are wanted; does nothing while it does so already. */
  pull(): void;
  /** Lets go of the inputs, so that a generator runs its `finally`. Waits for it unless the generator is busy. */
  stop(): Promise<void>;
};

export function createInputs<I>(source: Iterable<I> | AsyncIterable<I>, events: InputEvents<I>): Inputs {
  return Symbol.asyncIterator in source ? createAsyncInputs(source, events) : createSyncInputs(source, events);
}

function createSyncInputs<I>(source: Iterable<I>, { isWanted, onInput, onEnd, onError }: InputEvents<I>): Inputs {
  let iterator: Iterator<I> | undefined;
  let isOver = false;
  return {
    pull: () => {
      try {
        iterator ??= isOver ? undefined : source[Symbol.iterator]();
        while (!isOver && iterator !== undefined && isWanted()) {
          const step = iterator.next();
          if (step.done) {
            isOver = true;
            onEnd();
          } else {
            onInput(step.value);
          }
        }
      } catch (error) {
        isOver = true;
        onError(error);
      }
    },
    stop: async () => {
      if (isOver) return;
      isOver = true;
      iterator?.return?.();
    },
  };
}

function createAsyncInputs<I>(source: AsyncIterable<I>, { isWanted, onInput, onEnd, onError }: InputEvents<I>): Inputs {
  let iterator: AsyncIterator<I> | undefined;
  let isOver = false;
  let isPulling = false;

  const pullAll = async () => {
    try {
      iterator ??= source[Symbol.asyncIterator]();
      while (!isOver && isWanted()) {
        const step = await iterator.next();
        if (isOver) return; // stopped meanwhile: this one is not needed any more
        if (step.done) {
          isOver = true;
          onEnd();
        } else {
          onInput(step.value);
        }
      }
    } catch (error) {
      if (isOver) return;
      isOver = true;
      onError(error);
    } finally {
      isPulling = false;
    }
  };

  return {
    pull: () => {
      if (isPulling || isOver) return;
      isPulling = true;
      void pullAll();
    },
    stop: async () => {
      if (isOver) return;
      isOver = true;
      const returned = iterator?.return?.();
      // A generator that waits for something answers `return` only after that, which may be never.
      if (isPulling) returned?.catch(() => undefined);
      else await returned;
    },
  };
}
