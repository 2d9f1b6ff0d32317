/** Makes an object reactive, so that components follow its changes. */
export function reactive<Value extends object>(value: Value): Value {
  const state = $state(value);
  return state;
}
