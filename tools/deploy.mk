# SPDX-License-Identifier: Apache-2.0
#
# make check-deploy     manifests, units and Dockerfile of deploy/, and the check of them itself

.PHONY: check-deploy
check-deploy:
	@tools/check-deploy_test $(B)
	@tools/check-deploy deploy $(B)
