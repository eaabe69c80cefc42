"""Kernels added to XiP by a package of their own: see pyproject.toml for how they are found.

    forward.py         example.simple_forward    NumPy
    digital.pyx        example.cash_digital      Cython; digital_option.py declares it
"""
