/* Small systems of linear equations. */
#ifndef RESULTS_SOLVE_H
#define RESULTS_SOLVE_H

/* Solve A·x = b for a symmetric, positive semidefinite A (n × n, row-major), in place: A is
 * destroyed, b becomes one solution if there is one (of a singular A: the unknowns without a
 * pivot are 0). Returns the rank. */
int solve_semidefinite(double *a, double *b, int n);

#endif
