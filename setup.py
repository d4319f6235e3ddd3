from setuptools import setup

setup()  # everything stands in setup.cfg; older pips need this file for `pip install -e`
