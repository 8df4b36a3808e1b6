# SPDX-License-Identifier: Apache-2.0
#
# make check-deploy     manifests, units and Dockerfile of deploy/, and the check of them itself

#                       (tools/check-deploy exits with 77 where npm cannot reach its registry)

.PHONY: check-deploy
check-deploy:
	@tools/check-deploy deploy $(B) && tools/check-deploy_test $(B) || [ $$? -eq 77 ]
