// Values that change while a person types, for queries that should not follow each keystroke.

/** The value of `read`, which changes at most once in `everyMs`. Has to be called while a component is initialized. */
export function throttled<Value>(read: () => Value, everyMs = 150): { readonly value: Value } {
  let value = $state.raw(read());
  let changedAtMs = 0;
  $effect(() => {
    const wanted = read();
    if (Object.is(wanted, value)) return;
    const timer = setTimeout(
      () => {
        changedAtMs = performance.now();
        value = wanted;
      },
      Math.max(0, everyMs - (performance.now() - changedAtMs)),
    );
    return () => clearTimeout(timer);
  });
  return {
    get value() {
      return value;
    },
  };
}
