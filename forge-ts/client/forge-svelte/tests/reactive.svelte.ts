/** An object whose changes components see. */
export function reactive<Value extends object>(value: Value): Value {
  const state = $state(value);
  return state;
}
