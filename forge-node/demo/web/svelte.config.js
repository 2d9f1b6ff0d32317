/** The defaults serve. */
export default {};
